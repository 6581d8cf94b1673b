"""Lists of agents: filters, pages, and all of them at once."""

import json

import pytest
from psycopg.types.json import Jsonb

from tests.registry.agents.agents import list_ids, make_card, register, run_agent

FILTERED: tuple[tuple[dict[str, str], list[str]], ...] = (
    ({}, ["a", "b", "c"]),
    ({"status": "active"}, ["a"]),
    ({"status": "registered"}, ["b", "c"]),
    ({"status": "paused"}, []),
    ({"skill": "research"}, ["a"]),
    ({"skill": "sculpting"}, []),
    ({"protocol": "a2a"}, ["a", "b"]),
    ({"protocol": "mcp"}, ["c"]),
    ({"alive": "true"}, ["a"]),
    ({"alive": "false"}, ["b", "c"]),
    ({"status": "registered", "protocol": "mcp"}, ["c"]),
)
SENSELESS = (
    ("status=sleeping", "status"),
    ("status=", "status"),
    ("alive=yes", "alive"),
    ("skill=%00", "skill"),
    ("limit=0", "limit"),
    ("limit=1000", "limit"),
    ("cursor=nonsense%21", "cursor"),
    ("colour=red", "colour"),
    ("status=active&status=paused", "status"),
)
SEARCHED: tuple[tuple[str, list[str]], ...] = (
    ("skills=research", ["a"]),
    ("skills=painting,research", ["a", "b"]),
    ("skills=%20painting%20,,nothing", ["b"]),
    ("skills=nothing", []),
    ("skills=painting,research&trust_domain=example.org", ["b"]),
)


@pytest.fixture
async def three(registry):
    """An active one with a skill, a registered one with another, and one that speaks MCP."""
    await run_agent(registry.http, "a", skills=["Research"])
    await register(registry.http, "b", skills=["painting"], labels={"trust_domain": "example.org"})
    await register(registry.http, "c", protocols=["mcp"])
    return registry.http


async def test_filters(three):
    for query, found in FILTERED:
        assert await list_ids(three, **query) == found, query


async def test_a_filter_that_makes_no_sense_is_refused(registry):
    for query, named in SENSELESS:
        answer = await registry.http.get(f"/agents?{query}")
        assert answer.status_code == 400, query
        assert named in answer.json()["error"]


async def test_search_finds_who_has_one_of_the_skills(three):
    for query, found in SEARCHED:
        agents = (await three.get(f"/agents/search?{query}")).json()["agents"]
        assert [agent["id"] for agent in agents] == found, query


async def test_search_wants_to_know_for_what(registry):
    assert (await registry.http.get("/agents/search")).status_code == 400


async def test_pages_hold_every_agent_once(registry):
    for n in range(5):
        await register(registry.http, f"agent-{n}")
    found, query = [], {"limit": "2"}
    while query:
        page = (await registry.http.get("/agents", params=query)).json()
        found += [agent["id"] for agent in page["agents"]]
        query = {"limit": "2", "cursor": page["next_cursor"]} if page["next_cursor"] else {}
    assert found == [f"agent-{n}" for n in range(5)]


async def test_all_of_two_thousand_agents_come_in_one_list(registry, registry_pool):
    await insert_agents(registry_pool, 2000, json.dumps(make_card()))
    assert await list_ids(registry.http) == [f"agent-{n:05}" for n in range(2000)]
    assert await list_ids(registry.http, alive="true") == []


async def test_large_cards_come_in_small_batches(registry, registry_pool):
    await insert_agents(registry_pool, 12, json.dumps(make_card(description="x" * 900_000)))
    found = await registry.http.get("/agents", params={"limit": "12"})
    assert 0 < len(found.json()["agents"]) < 12
    assert found.json()["next_cursor"]
    assert len(await list_ids(registry.http)) == 12


async def insert_agents(pool, count, card):
    async with pool.connection() as conn:
        await conn.execute(
            "INSERT INTO agents (tenant_id, agent_id, uri, origin, card, skills, protocols)"
            " SELECT 'default', 'agent-' || to_char(n, 'FM00000'), 'http://a.test', 'registered', %s, '{}', '{}'"
            "   FROM generate_series(0, %s - 1) n",
            [Jsonb(json.loads(card)), count],
        )
