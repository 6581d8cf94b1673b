"""Configured secrets are in no answer of any route, no line of the log, no metric: looked for with values that are
nowhere else, in processes that log everything, and among servers that repeat whatever they are sent."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from psycopg.conninfo import make_conninfo
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from groundwork.postgres.pool import Pool
from registry.access import COMMAND_LINE
from registry.tokens.service import Tokens
from tests.agents import CHAT, text_message, write_project
from tests.contract.agent_who import MISTAKES, WHO
from tests.processes import agent_process, registry_process
from tests.registry.engine.workflows import document
from tests.registry.executions.runs import start, until
from tests.registry.who import WHO as REGISTRYS_WHO
from tests.servers import run_server

OUTSIDE = """
[mcp.repeating]
url = "ECHO/mcp?key=${MCP_QUERY_KEY}"
headers = { Authorization = "Bearer ${MCP_HEADER}" }
[mcp.program]
command = "sh"
args = ["-c", "env; echo $0; exit 1", "${MCP_ARGUMENT}"]
env = { PLAIN_NAME = "${MCP_VARIABLE}" }
[a2a.friend]
url = "ECHO/friend"
token = "${PEER_TOKEN}"
"""

FROM_THE_ENVIRONMENT = (
    "MCP_QUERY_KEY",
    "MCP_HEADER",
    "MCP_ARGUMENT",
    "MCP_VARIABLE",
    "PEER_TOKEN",
    "OPENAI_API_KEY",
)

BAD_BODIES = (b"{}", b"{", b"[1]", b'{"ir": 5, "url": "http://u:p@h/", "role": "x", "old_id": "", "params": {}}')


PASSWORD = 'canary"dsn/+%'
"""With characters that are written in other ways in URLs, in JSON and in connection strings."""

PASSWORDS = (PASSWORD, quote(PASSWORD, safe=""), PASSWORD.replace('"', "%22"), PASSWORD.replace('"', '\\"'))


def canary(name: str) -> str:
    return f"canary-{name.lower()}"


@asynccontextmanager
async def repeating_server() -> AsyncIterator[str]:
    """Refuses every request, and repeats it: what careless servers say about a key they do not take."""

    async def repeat(request: Request) -> PlainTextResponse:
        head = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        return PlainTextResponse(f"incorrect key: {request.url} {head} {(await request.body()).decode()}", 401)

    async with run_server(Starlette(routes=[Route("/{path:path}", repeat, methods=["GET", "POST"])])) as url:
        yield url


async def everything_asked(url: str, routes: Iterable[str], tokens: list[str]) -> list[str]:
    """What each route answers to the bearer of each token, mostly to requests that are wrong."""
    answers = []
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        for token in tokens:
            headers = {
                "Authorization": f"Bearer {token}",
                "A2A-Version": "1.0",
                "Content-Type": "application/json",
            }
            for route in routes:
                method, pattern = route.split(" ")
                bodies = BAD_BODIES if method in ("POST", "PUT", "PATCH") else (b"",)
                for name, body in [*(("anything", body) for body in bodies), ("%00", b"")]:
                    answer = await http.request(method, at(pattern, name), headers=headers, content=body)
                    assert answer.status_code != 500, route
                    answers.append(f"{route}: {answer.headers} {answer.text}")
                # Whoever takes a token for a name is told so, by that name; the log need not have it.
                await http.request(method, at(pattern, quote(token, safe="")), headers=headers)
    return answers


def at(pattern: str, name: str) -> str:
    return re.sub("{[^}]*}", name, pattern)


def found(secrets: Iterable[str], texts: Iterable[str]) -> list[str]:
    return [f"{secret} in {text[:300]}" for text in texts for secret in secrets if secret in text]


async def test_no_secret_of_an_agent_is_shown_anywhere(tmp_path: Path, database_url: str) -> None:
    admin, ann = canary("token-admin"), canary("token-ann")
    async with repeating_server() as echo:
        write_project(tmp_path, CHAT, extra=OUTSIDE.replace("ECHO", echo))
        settings: dict[str, Any] = {
            **{name: canary(name) for name in FROM_THE_ENVIRONMENT},
            "postgres_dsn": make_conninfo(database_url, password=PASSWORD),
            "admin_token": admin,
            "a2a_tokens": f"ann={ann}",
            "registry_url": f"{echo}/registry",
            "registry_token": canary("token-registry"),
            "model": "openai:gpt-test",
            "model_base_url": f"{echo}/model",
            "internal_runtime_control_enabled": True,
            "log_level": "debug",
        }
        async with agent_process(tmp_path, **settings) as agent:
            answers = await everything_asked(agent.url, [*WHO, *MISTAKES], ["wrong", admin, ann])
            answers.append(await failed_turn(agent.url, ann))
            answers.append(await connections_shown(agent.url, admin))
        log = agent.log.read_text()
    secrets = [canary(name) for name in FROM_THE_ENVIRONMENT]
    secrets += [admin, ann, canary("token-registry"), *PASSWORDS]
    assert "incorrect key" in log
    assert found(secrets, [*answers, *log.splitlines()]) == []


async def failed_turn(url: str, token: str) -> str:
    """What the caller is told of a turn whose model provider has repeated its key."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        answer = await http.post(
            "/a2a/message:send",
            json={"message": text_message("hello")},
            headers={"Authorization": f"Bearer {token}", "A2A-Version": "1.0"},
        )
    assert "TASK_STATE_FAILED" in answer.text, answer.text
    return answer.text


async def connections_shown(url: str, token: str) -> str:
    """The status once every connection has failed, with what each server has said."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}) as http:
        async with asyncio.timeout(20):
            while (text := (await http.get("/status")).text).count("last_error") < 4:
                await asyncio.sleep(0.05)
    return text


async def test_no_secret_of_a_registry_is_shown_anywhere(
    tmp_path: Path, registry_dsn: str, registry_pool: Pool
) -> None:
    async with repeating_server() as echo:
        settings: dict[str, Any] = {
            "database_url": make_conninfo(registry_dsn, password=PASSWORD),
            "jamjet_agent_tokens": f"{echo}={canary('token-agent')}",
            "jamjet_secret_env": f"WIKI_*@{echo}",
            "wiki_name": canary("wiki"),
            "openai_api_key": canary("openai"),
            "jamjet_token": canary("token-jamjet"),
            "openai_base_url": f"{echo}/model",
            "log_level": "debug",
        }
        async with registry_process(tmp_path, **settings) as registry:
            operator = (await Tokens(registry_pool).create_token(COMMAND_LINE, role="operator")).plaintext
            answers = await everything_asked(registry.url, REGISTRYS_WHO, ["jj_wrong", operator])
            answers += await failed_executions(registry.url, echo, operator)
        log = registry.log.read_text()
    secrets = [canary(name) for name in ("token-agent", "wiki", "openai", "token-jamjet")]
    secrets += [operator, *PASSWORDS]
    assert found(secrets, [*answers, *log.splitlines()]) == []


async def failed_executions(url: str, echo: str, token: str) -> list[str]:
    """What is told of executions whose servers have repeated what they were sent."""
    auth = {"type": "bearer", "token_env": "WIKI_NAME"}
    workflows = {
        "model": document({"a": {"type": "model", "model_ref": "openai/gpt-test", "prompt_ref": "hi"}}, []),
        "agent": document({"a": {"type": "agent", "agent_ref": f"{echo}/agent"}}, []),
        "mcp": document(
            {"a": {"type": "mcp_tool", "server": "wiki", "tool": "read"}},
            [],
            mcp_servers={"wiki": {"transport": "http_sse", "url": f"{echo}/mcp", "auth": auth}},
        ),
    }
    answers = []
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
        for name, ir in workflows.items():
            execution_id = await start(http, ir | {"workflow_id": name})
            execution = await until(http, execution_id)
            assert execution["status"] == "failed", execution
            events = await http.get(f"/executions/{execution_id}/events")
            answers += [str(execution), events.text]
            assert "401" in events.text, events.text
    return answers
