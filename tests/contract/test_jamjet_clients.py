"""JamJet's own command and library work against the registry, as they are published."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.agents import Agent, running_agent, write_project
from tests.jamjet import Refused, call_client, jamjet
from tests.registry.registries import Served
from tests.servers import run_server

CARD: dict[str, Any] = {
    "id": "research-agent",
    "uri": "http://localhost:7701",
    "name": "Research Agent",
    "description": "Searches the web and synthesizes reports.",
    "version": "0.1.0",
    "capabilities": {
        "skills": [
            {
                "name": "research",
                "description": "Deep research on any topic",
                "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}},
                "output_schema": {"type": "object", "properties": {"report": {"type": "string"}}},
            }
        ],
        "protocols": ["a2a"],
        "tools_provided": ["web_search"],
        "tools_consumed": [],
    },
    "autonomy": "guided",
    "auth": {"type": "bearer_token"},
}


@pytest.fixture
async def developer(registry: Served) -> str:
    """A token."""
    return await registry.make_token("developer")


@pytest.fixture
async def viewer(registry: Served) -> str:
    """A token."""
    return await registry.make_token("viewer")


@pytest.fixture
async def agent(tmp_path: Path, database_url: str) -> AsyncIterator[Agent]:
    """One of ours, which describes itself by a card of A2A."""
    async with running_agent(write_project(tmp_path / "agent"), database_url) as agent:
        yield agent


async def test_the_library_registers_lists_and_inspects_agents(registry, developer):
    calls = [("register_agent", CARD), ("list_agents",), ("get_agent", "research-agent")]
    registered, listed, found = await call_client(registry.url, *calls, token=developer)
    assert registered["agent_id"] == "research-agent"
    assert [agent["id"] for agent in listed["agents"]] == ["research-agent"]
    assert found["card"] == CARD
    assert found["status"] == "registered"


async def test_the_library_activates_and_deactivates_an_agent(registry, developer):
    verbs = ["activate_agent", "get_agent", "deactivate_agent", "get_agent"]
    calls = [("register_agent", CARD), *((verb, "research-agent") for verb in verbs)]
    _, activated, active, deactivated, found = await call_client(registry.url, *calls, token=developer)
    assert activated == {"agent_id": "research-agent", "status": "active"}
    assert active["alive"] is True
    assert deactivated == {"agent_id": "research-agent", "status": "deactivated"}
    assert found["status"] == "deactivated"


async def test_the_library_discovers_an_agent(registry, developer):
    async with serving_card(CARD) as url:
        [discovered] = await call_client(registry.url, ("discover_agent", url), token=developer)
    assert (discovered["id"], discovered["name"]) == ("research-agent", "Research Agent")
    assert [skill["id"] for skill in discovered["capabilities"]["skills"]] == ["research"]
    assert discovered["card"] == CARD


async def test_the_library_needs_a_token_for_all_but_health(registry):
    health, refused = await call_client(registry.url, ("health",), ("list_agents",))
    assert health["status"] == "ok"
    assert refused == Refused(401, {"error": "invalid or expired token"})


async def test_the_library_is_told_what_the_registry_refuses(registry, viewer):
    calls = [("get_agent", "nobody"), ("register_agent", CARD)]
    found, registered = await call_client(registry.url, *calls, token=viewer)
    assert found == Refused(404, {"error": "not found: agent nobody"})
    assert registered == Refused(403, {"error": "insufficient role — developer or operator required"})


async def test_the_command_lists_activates_and_inspects_agents(registry, developer, viewer):
    await registry.http.post("/agents", json=CARD)
    listed = printed(await jamjet("agents", "list", runtime=registry.url, token=viewer))
    assert [agent["id"] for agent in listed["agents"]] == ["research-agent"]
    activated = await jamjet("agents", "activate", "research-agent", runtime=registry.url, token=developer)
    assert activated.stdout == "Activated: research-agent → active\n"
    inspected = printed(await jamjet("agents", "inspect", "research-agent", runtime=registry.url, token=viewer))
    assert (inspected["status"], inspected["card"]) == ("active", CARD)


async def test_the_command_connects_an_agent(registry, developer):
    async with serving_card(CARD) as url:
        done = await jamjet("agents", "connect", url, runtime=registry.url, token=developer)
    assert done.stdout.splitlines() == [
        "Connected: Research Agent (research-agent)",
        f"  URL: {url}",
        "  Skills: research",
    ]
    assert await agent_ids(registry) == ["research-agent"]


async def test_the_command_connects_an_agent_of_ours(registry, developer, agent):
    done = await jamjet("agents", "connect", agent.url, runtime=registry.url, token=developer)
    assert done.stdout.startswith("Connected: test-agent (test-agent)\n")
    assert await agent_ids(registry) == ["test-agent"]


async def test_the_command_registers_what_it_has_discovered(registry, developer):
    async with serving_card(CARD) as url:
        done = await jamjet("agents", "discover", url, "--register", runtime=registry.url, token=developer)
    assert "Deep research on any topic" in done.stdout
    assert done.stdout.endswith("\nRegistered: research-agent\n")
    assert await agent_ids(registry) == ["research-agent"]


async def test_the_command_registers_an_agent_of_ours_that_it_has_discovered(registry, developer, agent):
    done = await jamjet("agents", "discover", agent.url, "--register", runtime=registry.url, token=developer)
    assert "An agent made for one test." in done.stdout
    assert done.stdout.endswith("\nRegistered: test-agent\n")
    assert await agent_ids(registry) == ["test-agent"]


async def test_the_command_shows_the_workers(registry, viewer):
    assert printed(await jamjet("workers", runtime=registry.url, token=viewer)) == {"workers": []}


async def test_the_command_fails_without_a_token(registry):
    done = await jamjet("agents", "list", runtime=registry.url)
    assert done.returncode == 1
    assert "401 Unauthorized" in done.stderr


@asynccontextmanager
async def serving_card(card: dict[str, Any]) -> AsyncIterator[str]:
    """An agent that is nothing but its card, in JamJet's own form; yields its URL."""
    route = Route("/.well-known/agent.json", lambda request: JSONResponse(card))
    async with run_server(Starlette(routes=[route])) as url:
        yield url


def printed(done: CompletedProcess[str]) -> Any:
    """The JSON that a command has printed."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def agent_ids(registry: Served) -> list[str]:
    return [agent["id"] for agent in (await registry.http.get("/agents")).json()["agents"]]
