"""How agents come into the registry, and what it shows of them."""

import asyncio
from typing import Any

import pytest

from tests.registry.agents.agents import get, list_ids, make_card, register

FULL_CARD = {
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

BAD_PARTS: list[tuple[str, Any]] = [
    ("incarnation", ""),
    ("incarnation", "x" * 65),
    ("incarnation", 5),
    ("heartbeat_seconds", 0),
    ("heartbeat_seconds", "10"),
    ("heartbeat_seconds", 1e9),
    ("heartbeat_seconds", True),
]


async def test_an_agent_is_registered_by_its_card(registry):
    answer = await registry.http.post("/agents", json=FULL_CARD)
    assert answer.status_code == 201
    assert answer.json() == {
        "agent_id": "research-agent",
        "tenant_id": "default",
        "created": True,
        "status": "registered",
        "component_generation": 0,
    }


async def test_an_agent_is_shown_with_its_card_inside_and_beside(registry):
    await registry.http.post("/agents", json=FULL_CARD)
    agent = await get(registry.http)
    assert agent["card"] == FULL_CARD
    assert (agent["id"], agent["status"], agent["alive"]) == ("research-agent", "registered", False)
    assert (agent["uri"], agent["url"], agent["auth"]) == (FULL_CARD["uri"], FULL_CARD["uri"], FULL_CARD["auth"])
    assert agent["capabilities"]["skills"][0]["id"] == "research"
    assert agent["last_heartbeat"] is None


async def test_the_list_shows_the_same_object(registry):
    await registry.http.post("/agents", json=FULL_CARD)
    detail = await get(registry.http)
    (listed,) = (await registry.http.get("/agents")).json()["agents"]
    assert detail == {**listed, "health": "ok", "instances": detail["instances"]}


async def test_what_stands_beside_the_card_is_not_part_of_it(registry):
    await register(registry.http, incarnation="one", heartbeat_seconds=5)
    assert not {"incarnation", "heartbeat_seconds"} & set((await get(registry.http))["card"])


async def test_registering_again_updates_the_card_and_keeps_the_status(registry):
    await register(registry.http)
    await registry.http.post("/agents/research-agent/activate")
    again = await register(registry.http, version="0.2.0", uri="http://elsewhere.test")
    assert (again["agent_id"], again["created"], again["status"]) == ("research-agent", False, "active")
    agent = await get(registry.http)
    assert (agent["version"], agent["uri"]) == ("0.2.0", "http://elsewhere.test")


async def test_without_an_id_the_name_makes_one(registry):
    assert (await register(registry.http, None))["agent_id"] == "research-agent"


async def test_without_an_id_the_uri_tells_which_agent_it_is(registry):
    await register(registry.http, "other", uri="http://there.test")
    again = await register(registry.http, None, uri="http://there.test")
    assert (again["agent_id"], again["created"]) == ("other", False)


async def test_two_agents_of_one_name_get_different_ids(registry):
    first = await register(registry.http, None, uri="http://a.test")
    second = await register(registry.http, None, uri="http://b.test")
    assert first["agent_id"] == "research-agent"
    assert second["agent_id"].startswith("research-agent-")


async def test_any_name_makes_an_id_that_can_be_used(registry):
    for name in ("Discover", "调研 员", "...", "a\u200bb", "/" * 255, "x" * 255):
        registered = await register(registry.http, None, name=name, uri=f"http://{len(name)}.test/{ord(name[0])}")
        assert (await get(registry.http, registered["agent_id"]))["name"] == name


async def test_an_id_that_cannot_be_used_is_refused(registry):
    for agent_id in ("discover", "search", "", "a/b", "a b", "..", "x" * 256, 7):
        answer = await registry.http.post("/agents", json=make_card() | {"id": agent_id})
        assert answer.status_code == 400, agent_id
        assert "id" in answer.json()["error"]


async def test_what_stands_beside_the_card_is_checked(registry):
    for name, value in BAD_PARTS:
        answer = await registry.http.post("/agents", json=make_card(**{name: value}))
        assert answer.status_code == 400, (name, value)
        assert name in answer.json()["error"]


async def test_a_body_that_is_no_card_is_refused(registry):
    for body in (b"", b"null", b"[]", b"{", b'"card"', b'{"id": "a", "id": "b"}', b"\xff"):
        assert (await registry.http.post("/agents", content=body)).status_code == 400, body


async def test_an_a2a_card_is_accepted(registry):
    card = {"name": "Painter", "url": "http://p.test", "skills": [{"id": "paint", "name": "Painting", "tags": []}]}
    answer = await registry.http.post("/agents", json=card)
    assert answer.json()["agent_id"] == "painter"
    assert await list_ids(registry.http, skill="paint") == ["painter"]


async def test_registering_one_agent_twenty_times_at_once_makes_one_entry(registry):
    answers = await asyncio.gather(*(register(registry.http) for _ in range(20)))
    assert sum(answer["created"] for answer in answers) == 1
    assert await list_ids(registry.http) == ["research-agent"]


async def test_a_card_without_an_id_sent_ten_times_at_once_makes_one_entry(registry):
    await asyncio.gather(*(register(registry.http, None) for _ in range(10)))
    assert await list_ids(registry.http) == ["research-agent"]


async def test_a_deleted_agent_is_gone(registry):
    await register(registry.http)
    answer = await registry.http.delete("/agents/research-agent")
    assert answer.json() == {"agent_id": "research-agent", "deleted": True}
    assert (await registry.http.get("/agents/research-agent")).status_code == 404
    assert (await registry.http.delete("/agents/research-agent")).status_code == 404


ODD_IDS = ["%00", "a%00b", "a%2Fb", "%FF%FE", "x" * 5000, "%E4%BD%A0", "..%2F..", "%20", "a%0Ab", "%F0%9F%98%80"]


@pytest.mark.parametrize("route", ["GET ", "DELETE ", "POST /activate", "POST /deactivate", "POST /heartbeat"])
async def test_odd_ids_in_the_path_are_not_found(registry, route):
    method, _, verb = route.partition(" ")
    for odd in ODD_IDS:
        answer = await registry.http.request(method, f"/agents/{odd}{verb}")
        assert answer.status_code in (404, 405), (odd, answer.text)
        assert answer.json()["error"]


async def test_ids_of_all_scripts_work(registry):
    await register(registry.http, "agente-é-你好", uri="http://agents.test")
    assert (await get(registry.http, "agente-é-你好"))["id"] == "agente-é-你好"
