"""Agents for tests, as a client of the registry makes them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx


def make_card(agent_id: str | None = "research-agent", **parts: Any) -> dict[str, Any]:
    """A card; its parts by their names, and skills and protocols too."""
    capabilities = {
        "skills": [{"name": name} for name in parts.pop("skills", [])],
        "protocols": parts.pop("protocols", ["a2a"]),
    }
    card = {"uri": f"http://agents.test/{agent_id}", "name": "Research Agent", "capabilities": capabilities}
    return card | ({"id": agent_id} if agent_id else {}) | parts


async def register(
    http: httpx.AsyncClient, agent_id: str | None = "research-agent", **parts: Any
) -> dict[str, Any]:
    answer = await http.post("/agents", json=make_card(agent_id, **parts))
    assert answer.status_code == 201, answer.text
    registered: dict[str, Any] = answer.json()
    return registered


async def run_agent(http: httpx.AsyncClient, agent_id: str = "research-agent", **parts: Any) -> None:
    """Registers and activates, with parts such as `incarnation` and `heartbeat_seconds`."""
    await register(http, agent_id, **parts)
    assert (await http.post(f"/agents/{agent_id}/activate")).status_code == 200


async def beat(http: httpx.AsyncClient, agent_id: str = "research-agent", **body: Any) -> httpx.Response:
    return await http.post(f"/agents/{agent_id}/heartbeat", json=body)


async def get(http: httpx.AsyncClient, agent_id: str = "research-agent") -> dict[str, Any]:
    answer = await http.get(f"/agents/{agent_id}")
    assert answer.status_code == 200, answer.text
    agent: dict[str, Any] = answer.json()
    return agent


async def is_alive(http: httpx.AsyncClient, agent_id: str = "research-agent") -> bool:
    alive: bool = (await get(http, agent_id))["alive"]
    return alive


async def list_ids(http: httpx.AsyncClient, **query: str) -> list[str]:
    answer = await http.get("/agents", params=query)
    assert answer.status_code == 200, answer.text
    return [agent["id"] for agent in answer.json()["agents"]]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Waits until it holds, and fails when it does not in that time."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.05)
