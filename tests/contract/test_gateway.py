"""The admin API of an agent by way of its registry: who is let in, what arrives, and what nobody can slip in."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from registry.access import ROLES
from tests.agents import CHAT, Agent, running_agent, write_project
from tests.registry.cli.commands import registry_command
from tests.registry.registries import Served
from tests.servers import run_server

ROOT = "/agents/my-agent/admin"


@pytest.fixture
async def agent(tmp_path: Path, database_url: str, registry: Served) -> AsyncIterator[Agent]:
    async with an_agent_of(registry, tmp_path, database_url) as agent:
        yield agent


@asynccontextmanager
async def an_agent_of(
    registry: Served, directory: Path, dsn: str, source: str = CHAT, **settings: Any
) -> AsyncIterator[Agent]:
    given: dict[str, Any] = {"registry_url": registry.url, "registry_token": registry.token, **settings}
    project = write_project(directory, source)
    async with running_agent(project, dsn, "my-agent", admin_token="secret", **given) as agent:
        assert agent.runtime.registry is not None
        await agent.runtime.registry.reached(10)
        yield agent


async def test_what_the_agent_answers_arrives_as_it_is_and_the_audit_log_names_the_person(
    registry: Served, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "admin_api.security")
    await agent.ask("hello", "a/b c")
    shown = await registry.http.get(f"{ROOT}/memory/threads/a%2Fb%20c/messages?limit=5")
    direct = await agent.http.get(
        "/api/v1/memory/threads/a%2Fb%20c/messages?limit=5", headers={"Authorization": "Bearer secret"}
    )
    assert (shown.status_code, shown.json()) == (200, direct.json())
    missing = await registry.http.get(f"{ROOT}/memory/threads/nothing/messages")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "THREAD_NOT_FOUND")
    changed = await registry.http.patch(f"{ROOT}/memory/config", json={"window_size": 7})
    assert changed.json()["data"]["window_size"] == 7
    entry = (await registry.http.get("/audit?limit=1")).json()["items"][0]
    assert (entry["event_type"], entry["actor_type"]) == ("agent_admin_called", "token")
    assert f"actor={entry['actor_id']} role=operator tenant_id=default method=PATCH" in caplog.text


async def test_calls_that_come_together_are_all_let_in_also_the_first_ones(registry: Served, agent: Agent) -> None:
    answers = await asyncio.gather(*[registry.http.get(f"{ROOT}/status") for _ in range(4)])
    assert [answer.status_code for answer in answers] == [200] * 4


async def test_a_role_may_do_to_an_agent_what_it_may_do(registry: Served, agent: Agent) -> None:
    may = {"operator": [200, 400, 404, 400], "developer": [200, 400, 403, 403]}
    for role in ROLES:
        client = await registry.client_of(role)
        statuses = [
            (await client.get(f"{ROOT}/status")).status_code,
            (await client.patch(f"{ROOT}/memory/config", json={})).status_code,
            (await client.delete(f"{ROOT}/memory/threads/none")).status_code,
            (await client.post(f"{ROOT}/memory/migrate-agent-id", json={})).status_code,
        ]
        assert statuses == may.get(role, [200, 403, 403, 403]), role


async def test_the_agent_itself_refuses_what_a_role_may_not_do(registry: Served, agent: Agent) -> None:
    token = await signed(registry, agent, role="viewer", method="PATCH", target="/api/v1/memory/config")
    refused = await agent.http.patch("/api/v1/memory/config", json={"window_size": 3}, headers=token)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN")


async def test_a_token_made_for_anything_else_is_of_no_use(registry: Served, agent: Agent) -> None:
    assert (await agent.http.get("/api/v1/status", headers=await signed(registry, agent))).status_code == 200
    others: list[dict[str, Any]] = [
        {"aud": "your-agent"},
        {"tenant": "acme"},
        {"url": "http://elsewhere.test"},
        {"method": "DELETE"},
        {"target": "/api/v1/usage"},
        {"role": 7},
    ]
    for other in others:
        token = await signed(registry, agent, **other)
        assert (await agent.http.get("/api/v1/status", headers=token)).status_code == 401, other


async def test_the_command_line_reaches_the_agent_by_way_of_its_registry(registry: Served, agent: Agent) -> None:
    at = {"jamjet_url": registry.url, "jamjet_token": registry.token}

    async def answered(*arguments: str) -> Any:
        done = await registry_command("agents", *arguments, "--json", **at)
        assert done.exit_code == 0, (arguments, done.stderr)
        return json.loads(done.stdout)

    await agent.ask("hello", "a/b c")
    assert (await answered("status", "my-agent"))["a2a"]["registry"]["connected"] is True
    assert (await answered("threads", "my-agent"))["states"] == {"a/b c": "idle"}
    assert [one["role"] for one in (await answered("messages", "my-agent", "a/b c"))["messages"]] == [
        "human",
        "ai",
    ]
    assert (await answered("config", "my-agent", "window_size=9"))["window_size"] == 9
    assert (await answered("config", "--label", "team=none", "window_size=9"))["results"] == []
    assert [turn["state"] for turn in (await answered("turns", "my-agent"))["turns"]] == ["completed"]
    assert (await answered("usage", "my-agent", "--by", "thread"))["total"]["turns"] == 1
    assert (await answered("erase", "my-agent", "--thread", "a/b c", "--dry-run"))["dry_run"] is True
    assert "deleted" in await answered("erase", "my-agent", "--thread", "a/b c", "--yes")
    gone = await registry_command("agents", "messages", "my-agent", "a/b c", **at)
    assert (gone.exit_code, "a/b c" in gone.stderr) == (1, True)


async def test_another_tenants_agent_is_not_there(registry: Served, agent: Agent) -> None:
    acme = await registry.client_of("operator", "acme")
    assert (await acme.get(f"{ROOT}/status")).status_code == 404
    here = {"id": "my-agent", "uri": "http://a.test", "incarnation": "i", "admin_url": agent.url}
    assert (await acme.post("/agents", json=here)).status_code == 201
    stranger = await acme.get(f"{ROOT}/status")
    assert (stranger.status_code, "does not accept" in stranger.text) == (502, True)


async def test_a_rotated_key_signs_at_once_and_the_former_one_is_shown_a_while(
    registry: Served, agent: Agent
) -> None:
    assert (await registry.http.get(f"{ROOT}/status")).status_code == 200
    rotated = (await registry.http.post("/keys/rotate")).json()["key_id"]
    async with asyncio.timeout(10):  # the agent asks for keys once a second at most
        while (await registry.http.get(f"{ROOT}/status")).status_code != 200:
            await asyncio.sleep(0.1)
    keys = (await (await registry.client()).get("/.well-known/jwks.json")).json()["keys"]
    methods = (await registry.http.get("/.well-known/did.json")).json()["verificationMethod"]
    assert (keys[0]["kid"], len(keys), "d" in keys[0]) == (rotated, 2, False)
    assert [method["publicKeyJwk"] for method in methods] == keys


async def test_nobody_answers_where_no_process_lives_or_the_address_is_another_servers(registry: Served) -> None:
    card = {"id": "my-agent", "uri": "http://a.test", "incarnation": "one"}
    await registry.http.post("/agents", json=card)
    assert (await registry.http.get(f"{ROOT}/status")).status_code == 503
    await registry.http.post("/agents", json={**card, "admin_url": "http://127.0.0.1:1"})
    gone = await registry.http.get(f"{ROOT}/status")
    assert (gone.status_code, gone.headers["retry-after"]) == (503, "5")


async def test_a_call_leaves_with_nothing_that_was_not_meant_for_the_agent(
    registry: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.gateway.service.ANSWER_SECONDS", 0.5)
    async with run_server(a_strange_server) as url:
        card = {"id": "my-agent", "uri": "http://a.test", "admin_url": url + "/below"}
        assert (await registry.http.post("/agents", json=card)).status_code == 201
        given = {"X-Forwarded-For": "10.0.0.1", "Cookie": "a=b", "TE": "trailers", "X-Agent": "1"}
        heard = await registry.http.get(f"{ROOT}/echo//x?a=%2F&a=b", headers=given)
        assert heard.json()["path"] == "/below/api/v1/echo//x?a=%2F&a=b"
        sent = set(heard.json()["headers"]) - {"host", "connection", "accept", "user-agent"}
        assert sent == {"accept-encoding", "authorization"}
        assert registry.token not in heard.text
        assert "set-cookie" not in heard.headers
        for path, status in {
            "page": 502,
            "redirect": 502,
            "hang": 504,
            "%2e%2e/x": 400,
        }.items():
            assert (await registry.http.get(f"{ROOT}/{path}")).status_code == status, path
        monkeypatch.setattr("registry.gateway.calls.MOST_AT_ONCE", 0)
        assert (await registry.http.get(f"{ROOT}/echo")).status_code == 429


async def test_an_agent_that_does_not_trust_its_registry_is_not_administered_by_it(
    tmp_path: Path, database_url: str, registry: Served
) -> None:
    async with an_agent_of(registry, tmp_path, database_url, admin_trust_registry=False):
        refused = await registry.http.get(f"{ROOT}/status")
        assert (refused.status_code, "ADMIN_TRUST_REGISTRY" in refused.json()["error"]) == (502, True)


async def signed(registry: Served, agent: Agent, **other: Any) -> dict[str, str]:
    """A header with a token as the registry makes it for `GET /api/v1/status`, but for `other` claims."""
    claims = {
        "aud": "my-agent",
        "sub": "somebody",
        "role": "operator",
        "tenant": "default",
        "url": agent.url,
        "method": "GET",
        "target": "/api/v1/status",
    }
    token = await registry.registry.keys.sign(claims | other)
    return {"Authorization": f"Bearer {token}"}


async def a_strange_server(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells what it was asked, and does what an admin API does not."""
    if scope["type"] != "http":
        return
    request = Request(scope)
    name = scope["path"].rpartition("/")[2]
    if name == "hang":
        await asyncio.sleep(30)
    heard = {
        "path": scope["raw_path"].decode() + "?" + scope["query_string"].decode(),
        "headers": dict(request.headers),
    }
    answers: dict[str, Response] = {
        "page": HTMLResponse("<p>a page</p>"),
        "redirect": RedirectResponse("http://127.0.0.1:1/"),
    }
    answer = answers.get(name) or JSONResponse(heard, headers={"Set-Cookie": "a=b"})
    await answer(scope, receive, send)
