"""`registry agents` speaks to a registry over HTTP, and says in one line what was refused."""

import json
from typing import Any

import pytest

from tests.processes import free_port
from tests.registry.cli.commands import registry_command
from tests.registry.registries import Served

CARD: dict[str, Any] = {
    "id": "first%agent",
    "uri": "http://first.test",
    "name": "First",
    "description": "Answers.",
    "version": "1",
    "capabilities": {"skills": [{"id": "research", "name": "Research"}], "protocols": ["a2a"]},
    "autonomy": "guided",
    "auth": {"type": "none"},
}


@pytest.fixture
async def settings(registry: Served) -> dict[str, str]:
    """How the command reaches a registry with one agent."""
    (await registry.http.post("/agents", json=CARD)).raise_for_status()
    return {"jamjet_public_url": registry.url, "jamjet_token": registry.token}


async def test_agents_are_listed(settings: dict[str, str]) -> None:
    done = await registry_command("agents", "list", **settings)
    heading, agent = done.stdout.splitlines()
    assert heading.split() == ["id", "name", "status", "alive", "skills", "uri", "last", "heartbeat"]
    assert agent.split()[:6] == ["first%agent", "First", "registered", "no", "research", "http://first.test"]


async def test_a_list_is_of_those_that_are_wanted(settings: dict[str, str]) -> None:
    wanted = [("--skill", "research"), ("--protocol", "mcp"), ("--status", "active")]
    answers = [await registry_command("agents", "list", *option, "--json", **settings) for option in wanted]
    assert [len(json.loads(answer.stdout)["agents"]) for answer in answers] == [1, 0, 0]


async def test_an_agent_is_activated_inspected_and_deactivated(settings: dict[str, str]) -> None:
    seen = []
    for verb in ("activate", "inspect", "deactivate", "inspect"):
        done = await registry_command("agents", verb, "first%agent", "--json", **settings)
        seen.append(json.loads(done.stdout)["status"])
    assert seen == ["active", "active", "deactivated", "deactivated"]


async def test_an_agent_that_cannot_be_discovered_is_said_to_be(settings: dict[str, str]) -> None:
    done = await registry_command("agents", "discover", f"http://127.0.0.1:{free_port()}", **settings)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("registry: bad gateway: ")


async def test_an_unknown_agent_is_told_in_the_registrys_words(settings: dict[str, str]) -> None:
    done = await registry_command("agents", "inspect", "a/b ü?", **settings)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("registry: not found: ")
    assert done.stderr.count("\n") == 1


async def test_a_refused_token_comes_with_a_hint(settings: dict[str, str]) -> None:
    done = await registry_command("agents", "list", **settings | {"jamjet_token": "wrong"})
    said = "registry: invalid or expired token (set JAMJET_TOKEN to a token of this registry)\n"
    assert (done.exit_code, done.stderr) == (1, said)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://[", "http://u:pass-word@x:1"])
async def test_a_registry_that_is_not_there_is_said_so_in_one_line(url: str) -> None:
    done = await registry_command("agents", "list", "--url", url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("registry: cannot reach the registry at ")
    assert done.stderr.count("\n") == 1
    assert "pass-word" not in done.stderr


async def test_another_server_is_not_taken_for_a_registry(registry: Served) -> None:
    done = await registry_command(
        "agents", "list", "--url", f"{registry.url}/metrics?", jamjet_token=registry.token
    )
    assert (done.exit_code, done.stderr) == (
        2,
        f"registry: what answers at {registry.url}/metrics? is not a registry\n",
    )
