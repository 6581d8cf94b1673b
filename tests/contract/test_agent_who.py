"""Every route of an agent and every kind of caller, as the table in `agent_who.py` has it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from admin_api.router import admin_router
from agent_runtime.app import create_admin_app, create_app
from tests.agents import SCRIPTED, Agent, running_agent, write_project
from tests.contract.agent_who import ADMIN, CALLERS, EVERYBODY, MISTAKES, WHO
from tests.routes import operations_of

ANN, BOB, OPERATOR = "token-of-ann", "token-of-bob", "token-of-the-operator"

EVERY_ROUTE = WHO | MISTAKES
LANGGRAPH_SYSTEM = {"GET /ok", "GET /info", "GET /langgraph/openapi.json", "GET /docs"}


@asynccontextmanager
async def serving(directory: Path, database_url: str, **settings: Any) -> AsyncIterator[Agent]:
    project = write_project(directory, SCRIPTED)
    async with running_agent(
        project, database_url, **{"internal_runtime_control_enabled": True} | settings
    ) as agent:
        yield agent


@pytest.fixture
async def agent(tmp_path: Path, database_url: str) -> AsyncIterator[Agent]:
    tokens = {"admin_token": OPERATOR, "a2a_tokens": f"ann={ANN},bob={BOB}"}
    async with serving(tmp_path / "one", database_url, **tokens) as agent:
        yield agent


def test_the_table_has_every_route_of_the_app_and_no_other(agent: Agent) -> None:
    app = create_app(agent.runtime, [admin_router(agent.runtime)])
    assert {f"{method} {path}" for method, path in operations_of(app)} == EVERY_ROUTE.keys()


def test_a_listener_for_the_operator_has_no_route_of_a2a(agent: Agent) -> None:
    app = create_admin_app(agent.runtime, [admin_router(agent.runtime)])
    routes = {f"{method} {path}" for method, path in operations_of(app)}
    of_callers = {route for route in WHO if "/.well-known/" in route} | LANGGRAPH_SYSTEM
    assert routes == {route for route, who in EVERY_ROUTE.items() if who != CALLERS} - of_callers


async def test_a_token_opens_what_it_is_for_and_nothing_else(agent: Agent) -> None:
    for token, opens in (("", None), ("made-up", None), (ANN, CALLERS), (BOB, CALLERS), (OPERATOR, ADMIN)):
        refused = {route for route, status in (await walk(agent, token)).items() if status == 401}
        assert refused == {route for route, who in EVERY_ROUTE.items() if who not in (EVERYBODY, opens)}, token


async def test_without_tokens_whoever_names_this_machine_may_call_and_administer(
    tmp_path: Path, database_url: str
) -> None:
    async with serving(tmp_path, database_url) as agent:
        refused = {route for route, status in (await walk(agent, host="elsewhere.test")).items() if status == 403}
        assert refused == {route for route, who in EVERY_ROUTE.items() if who != EVERYBODY}
        assert {status for status in (await walk(agent)).values() if status in (401, 403)} == set()


async def test_what_is_another_callers_or_agents_is_out_of_reach_on_every_route(
    agent: Agent, tmp_path: Path, database_url: str
) -> None:
    """Of the same database, of the same user name, and by the very ids."""
    asked = (await agent.send("ask why?", token=ANN, contextId="anns-context"))["task"]
    names = {"id": asked["id"], "push_id": asked["id"], "thread_id": "anns-context"}
    tokens = {"admin_token": OPERATOR, "a2a_tokens": f"ann={ANN}", "agent_id": "other-agent"}
    async with serving(tmp_path / "two", database_url, **tokens) as other:
        for stranger, token in ((agent, BOB), (other, ANN), (other, OPERATOR)):
            statuses = await walk(stranger, token, names=names)
            named = {route: status for route, status in statuses.items() if "{" in route and route in WHO}
            assert set(named.values()) <= {400, 401, 403, 404, 422}, named
    kept = (await agent.rpc("GetTask", {"id": asked["id"]}, token=ANN))["result"]
    assert kept["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    thread = await agent.http.get(
        "/api/v1/memory/threads/anns-context/messages", headers={"Authorization": f"Bearer {OPERATOR}"}
    )
    assert thread.status_code == 200


async def walk(
    agent: Agent, token: str = "", *, host: str = "127.0.0.1", names: dict[str, str] | None = None
) -> dict[str, int]:
    """The status of each route's answer; where no names are given, with those of things that are not there."""
    statuses, known = {}, names or {}
    headers = {"A2A-Version": "1.0", "Host": host} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with httpx.AsyncClient(base_url=agent.url, headers=headers) as http:
        for route in EVERY_ROUTE:
            method, pattern = route.split(" ")
            path = re.sub("{([^}]*)}", lambda place: known.get(place[1], "anything"), pattern)
            answer = await http.request(method, path, json={} if method in ("POST", "PATCH") else None)
            assert answer.status_code < 500, (route, answer.text)
            statuses[route] = answer.status_code
    return statuses
