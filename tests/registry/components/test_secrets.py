"""Secrets have no place in components: they are refused, and stand nowhere afterwards."""

import json
from typing import Any

import pytest

from tests.registry.components.samples import put

_KEY = "sk-proj-" + "a1B2" * 10
_GITHUB = "ghp_" + "a1B2" * 9
_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
_PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA"
_URL = "https://tools.test/mcp"

REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "mcp/x",
        {"url": _URL, "headers": {"Authorization": "Bearer hunter-two"}},
        "headers.Authorization",
        "hunter-two",
    ),
    ("mcp/x", {"url": _URL, "headers": {"x-api-key": "hunter-two"}}, "headers.x-api-key", "hunter-two"),
    ("mcp/x", {"url": _URL, "headers": {"Cookie": "session=hunter-two"}}, "headers.Cookie", "hunter-two"),
    ("mcp/x", {"url": _URL, "headers": {"X-Authtoken": "hunter-two"}}, "headers.X-Authtoken", "hunter-two"),
    ("mcp/x", {"url": "https://me:hunter-two@tools.test/"}, "url", "hunter-two"),
    ("mcp/x", {"url": f"{_URL}?apikey=hunter-two"}, "url", "hunter-two"),
    ("mcp/x", {"command": "server", "env": {"GITHUB_TOKEN": "hunter-two"}}, "env.GITHUB_TOKEN", "hunter-two"),
    ("mcp/x", {"command": "server", "env": {"DSN": "postgres://me:hunter-two@db"}}, "env.DSN", "hunter-two"),
    ("mcp/x", {"command": "server", "args": ["--api-key", "hunter-two"]}, "args.1", "hunter-two"),
    ("mcp/x", {"command": "server", "args": ["--token=hunter-two"]}, "args.0", "hunter-two"),
    ("mcp/x", {"command": "server", "args": ["-v", _GITHUB]}, "args.1", _GITHUB),
    ("model/x", {"model": "openai:gpt", "api_key": "hunter-two"}, "api_key", "hunter-two"),
    ("model/x", {"model": "openai:gpt", "apiKey": "hunter-two"}, "apiKey", "hunter-two"),
    ("model/x", {"model": "a:b", "client": {"secret": "hunter-two"}}, "client.secret", "hunter-two"),
    ("model/x", {"model": "openai:gpt", "extra": [{_KEY: 1}]}, "extra.0", _KEY),
    ("model/x", {"model": "openai:gpt", "user": "AKIAIOSFODNN7EXAMPLE"}, "user", "AKIAIOSFODNN7EXAMPLE"),
    ("prompt/x", {"template": f"Use the key {_KEY} well."}, "template", _KEY),
    ("prompt/x", {"template": "Hello", "description": f"with {_JWT}"}, "description", _JWT),
    ("prompt/x", {"template": f"{_PEM}"}, "template", "MIIEpAIBAAKCAQEA"),
    ("prompt/x", {"template": "Hello", _GITHUB: "unknown"}, "***", _GITHUB),
]


async def test_a_literal_secret_is_refused_with_its_field_and_a_way_out_and_is_told_nobody(
    registry, registry_pool, caplog
):
    for name, content, field, secret in REFUSED:
        answer = await put(registry.http, name, content)
        error = answer.json()["error"]
        assert answer.status_code == 400, content
        assert field in error, error
        assert "${NAME}" in error, error
        assert secret not in error, error
    stored = await _everything(registry_pool)
    for *_, secret in REFUSED:
        assert secret not in caplog.text + stored, secret


async def test_references_and_names_that_only_sound_so_are_accepted(registry):
    for name, content in (
        (
            "mcp/a",
            {"url": f"{_URL}?token=${{T}}", "headers": {"Authorization": "Bearer ${T}", "Accept": "text/plain"}},
        ),
        ("mcp/b", {"url": "https://${USER}:${PASSWORD}@tools.test/mcp"}),
        ("mcp/c", {"command": "npx", "args": ["-y", "--token", "${T}"], "env": {"API_KEY": "${K}", "DEBUG": "1"}}),
        ("mcp/d", {"command": "npx", "env": {"TOKENIZERS_PARALLELISM": "false", "KEYBOARD": "us"}}),
        ("model/a", {"model": "openai:gpt", "max_tokens": 100, "api_key": "${OPENAI}", "prompt_cache_key": "v1"}),
        ("model/b", {"model": "", "stop": ["\n"], "tokenizer": "cl100k", "base_url": "http://10.0.0.1:8000/v1"}),
        ("prompt/b", {"template": "{{=<% %>=}} As JSON: {{'a': <% caller %>}}"}),
        ("prompt/a", {"template": "Never tell a password, api_key=... or token; sk-learn-is-a-package-name too."}),
    ):
        answer = await put(registry.http, name, content)
        assert answer.status_code == 201, answer.text
        assert (await registry.http.get(f"/components/{name}")).json()["content"] == content


async def test_all_that_is_wrong_is_told_at_once(registry):
    answer = await put(
        registry.http,
        "mcp/x",
        {"url": "ftp://tools", "command": " ", "headers": {"a b": "x", "Api-Key": "hunter-two"}, "argv": []},
    )
    assert answer.status_code == 400
    for field in ("url:", "command:", "headers:", "headers.Api-Key ", "argv is not known here", "not both"):
        assert field in answer.json()["error"], field


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("prompt/x", {}, "template is required"),
        ("prompt/x", {"template": 1}, "template should be a valid string"),
        ("prompt/x", {"template": "{{#a}}"}, "template has a section that is never closed (a)"),
        ("prompt/x", {"template": "{{/a}}"}, "template closes a section that is not the one which is open (a)"),
        ("prompt/x", {"template": "{{ a"}, "template has a tag that is not closed: {{ without }}"),
        ("prompt/x", {"template": "{{}}"}, "template has a tag without a name: {{ }}"),
        ("prompt/x", {"template": "{{=<%}}"}, "template has a tag for other marks that is not closed"),
        ("prompt/x", {"template": "{{=< >=}}" + "<!a>" * 9000}, "template has more than 500 tags"),
        ("model/x", {"temperature": 1}, "model is required"),
        ("model/x", {"model": "gpt"}, "model: accepted: provider:name"),
        ("mcp/x", {}, "url or command is required, and not both"),
        ("mcp/x", {"url": "http://a", "args": []}, "args goes with command, not with url"),
        ("mcp/x", {"command": "a", "headers": {}}, "headers goes with url, not with command"),
        ("mcp/x", {"url": "http://a", "headers": {"A": "b\nc"}}, "headers.A: accepted: printable characters"),
    ],
)
async def test_what_cannot_be_used_is_told_by_its_field(registry, name, content, error):
    answer = await put(registry.http, name, content)
    assert (answer.status_code, answer.json()["error"].startswith(f"bad request: {error}")) == (400, True), (
        answer.text
    )


async def _everything(pool):
    async with pool.connection() as conn:
        tables = ("audit_entries", "components", "component_versions")
        rows = [
            await (await conn.execute(f"SELECT to_jsonb(t)::text AS text FROM {t} t")).fetchall() for t in tables
        ]
    return json.dumps(rows)
