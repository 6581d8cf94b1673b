"""Which entry a card belongs to that the registry has found by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from registry.access import COMMAND_LINE
from registry.agents.cards import read_card
from registry.errors import Conflict, LimitReached
from tests.registry.agents.agents import get, list_ids, make_card, register
from tests.registry.registries import Served
from tests.servers import run_server

A2A_CARD = {"name": "Painter", "url": "http://painter.test/a2a", "skills": [{"id": "paint", "name": "Paint"}]}


async def test_an_agent_is_discovered_by_its_url(registry):
    async with card_server({"id": "painter", "name": "Painter", "capabilities": {}}) as url:
        answer = await registry.http.post("/agents/discover", json={"url": url})
    assert answer.status_code == 201, answer.text
    agent = answer.json()
    assert (agent["id"], agent["name"], agent["status"], agent["uri"]) == ("painter", "Painter", "registered", url)
    assert agent == await get(registry.http, "painter")


async def test_nobody_there_is_a_bad_gateway_and_no_entry(registry):
    answer = await registry.http.post("/agents/discover", json={"url": "http://127.0.0.1:1"})
    assert answer.status_code == 502
    assert await list_ids(registry.http) == []


@pytest.mark.parametrize("body", [{}, {"url": ""}, {"url": 5}, {"url": "ftp://x.test"}, {"url": "nonsense"}, []])
async def test_what_is_no_url_is_refused(registry, body):
    answer = await registry.http.post("/agents/discover", json=body)
    assert answer.status_code == 400


async def test_a_discovered_agent_is_alive_once_it_is_activated(registry):
    await discover(registry, A2A_CARD)
    assert not (await get(registry.http, "painter"))["alive"]
    await registry.http.post("/agents/painter/activate")
    assert (await get(registry.http, "painter"))["alive"]
    assert await probed(registry) == ["painter"]


async def test_an_agent_that_is_not_active_is_not_looked_at(registry):
    await discover(registry, A2A_CARD)
    assert await probed(registry) == []
    await registry.http.post("/agents/painter/activate")
    await registry.http.post("/agents/painter/pause")
    assert await probed(registry) == []


async def test_discovering_again_updates_the_entry(registry):
    await discover(registry, A2A_CARD)
    await registry.http.post("/agents/painter/activate")
    await discover(registry, A2A_CARD | {"version": "2", "name": "Sculptor"})
    agent = await get(registry.http, "painter")
    assert (agent["version"], agent["name"], agent["status"]) == ("2", "Sculptor", "active")
    assert await list_ids(registry.http) == ["painter"]


async def test_an_agent_that_has_moved_keeps_its_entry(registry):
    await discover(registry, A2A_CARD)
    await discover(registry, A2A_CARD | {"url": "http://new.painter.test"})
    assert (await get(registry.http, "painter"))["uri"] == "http://new.painter.test"


async def test_a_stranger_with_the_same_id_replaces_nobody(registry):
    await register(registry.http, "research-agent", uri="http://good.test")
    with pytest.raises(Conflict, match="another agent's"):
        await discover(registry, make_card("research-agent", uri="http://evil.test"), "http://evil.test/card.json")
    assert (await get(registry.http))["uri"] == "http://good.test"


async def test_a_stranger_with_the_same_address_replaces_nobody(registry):
    await register(registry.http, "research-agent", uri="http://good.test")
    with pytest.raises(Conflict, match="is not found there"):
        await discover(registry, make_card("research-agent", uri="http://good.test"), "http://evil.test/card.json")


async def test_agents_of_one_name_get_different_ids(registry):
    await discover(registry, A2A_CARD)
    other = await discover(registry, A2A_CARD | {"url": "http://other.test"}, "http://other.test/card.json")
    assert other.startswith("painter-")
    assert await list_ids(registry.http) == ["painter", other]


async def test_an_agent_that_announces_itself_is_not_looked_at(registry):
    await register(registry.http, "painter", uri="http://painter.test/a2a", incarnation="one")
    await registry.http.post("/agents/painter/activate")
    await discover(registry, A2A_CARD | {"version": "2"})
    agent = await get(registry.http, "painter")
    assert (agent["version"], [each["incarnation"] for each in agent["instances"]]) == ("2", ["one"])
    assert await probed(registry) == []


async def test_an_agent_that_begins_to_announce_itself_is_looked_at_no_more(registry):
    await discover(registry, A2A_CARD)
    await registry.http.post("/agents/painter/activate")
    await register(registry.http, "painter", incarnation="one")
    assert [each["incarnation"] for each in (await get(registry.http, "painter"))["instances"]] == ["one"]
    assert await probed(registry) == []


async def test_discovering_one_agent_ten_times_at_once_makes_one_entry(registry):
    assert set(await asyncio.gather(*(discover(registry, A2A_CARD) for _ in range(10)))) == {"painter"}
    assert await list_ids(registry.http) == ["painter"]


async def test_discovered_agents_count_as_well(registry):
    async with registry.registry.pool.connection() as conn:
        await conn.execute("""UPDATE tenants SET limits = '{"max_agents": 1}'""")
    await register(registry.http)
    with pytest.raises(LimitReached):
        await discover(registry, A2A_CARD)


async def discover(registry: Served, document: dict[str, Any], url: str = "http://painter.test/card.json") -> str:
    """As if the card had been found at that URL."""
    card = read_card(document).fetched_from(url)
    agent, _ = await registry.registry.agents.register_discovered(COMMAND_LINE, card, url)
    return agent.agent_id


async def probed(registry: Served) -> list[str]:
    async with registry.registry.pool.connection() as conn:
        rows = await conn.execute("SELECT agent_id FROM agents WHERE next_probe_at IS NOT NULL ORDER BY agent_id")
        return [row["agent_id"] for row in await rows.fetchall()]


@asynccontextmanager
async def card_server(card: dict[str, Any]) -> AsyncIterator[str]:
    route = Route("/.well-known/agent.json", lambda request: JSONResponse(card))
    async with run_server(Starlette(routes=[route])) as url:
        yield url
