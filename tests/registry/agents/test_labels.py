"""Labels: an agent brings its own, an operator has the last word, and lists are of whoever has them."""

from tests.registry.agents.agents import get, list_ids, register

NONSENSE: tuple[dict[str, object], ...] = (
    {},
    {"labels": None},
    {"labels": {"": "a"}},
    {"labels": {"a=b": "c"}},
    {"labels": {"team": 7}},
    {"labels": {"team": "a,b"}},
    {"labels": {"team": "x" * 256}},
    {"labels": {f"n{n}": "v" for n in range(65)}},
    {"labels": {"team": "a"}, "status": "active"},
)


async def test_a_list_is_of_the_agents_that_have_all_the_labels(registry):
    await register(registry.http, "a", labels={"team": "billing", "stage": "live"})
    await register(registry.http, "b", labels={"team": "billing"})
    await register(registry.http, "c", labels={"team": "claims"})
    await register(registry.http, "d")
    assert await list_ids(registry.http, label="team=billing") == ["a", "b"]
    assert await list_ids(registry.http, label="team=billing,stage=live") == ["a"]
    first = (await registry.http.get("/agents?label=team%3Dbilling&limit=1")).json()
    second = await registry.http.get(
        "/agents", params={"label": "team=billing", "limit": 1, "cursor": first["next_cursor"]}
    )
    assert [agent["id"] for agent in first["agents"] + second.json()["agents"]] == ["a", "b"]


async def test_what_an_operator_says_holds_against_what_the_agent_registers_with(registry):
    await register(registry.http, "a", labels={"team": "billing", "stage": "live"})
    changed = await registry.http.patch("/agents/a", json={"labels": {"team": "claims", "stage": None, "x": "y"}})
    assert (changed.status_code, changed.json()["labels"]) == (200, {"team": "claims", "x": "y"})
    await register(registry.http, "a", labels={"team": "billing", "stage": "live", "new": "1"})
    assert (await get(registry.http, "a"))["labels"] == {"team": "claims", "x": "y", "new": "1"}
    assert await list_ids(registry.http, label="team=billing") == []
    entries = (await registry.http.get("/audit?event_type=agent_labelled")).json()["items"]
    assert [entry["raw_event"]["labels"] for entry in entries] == [{"team": "claims", "x": "y"}]


async def test_labels_that_none_can_have_are_refused_by_name(registry):
    await register(registry.http, "a")
    for body in NONSENSE:
        answer = await registry.http.patch("/agents/a", json=body)
        assert answer.status_code == 400, body
    for label in ("team", "=a", "a=b,", "a=b,a=c", "%00=a"):
        answer = await registry.http.get(f"/agents?label={label}")
        assert (answer.status_code, "label" in answer.json()["error"]) == (400, True), label
    refused = await registry.http.post("/agents", json={"id": "b", "uri": "http://b.test", "labels": {"a b": "c"}})
    assert (refused.status_code, "labels" in refused.json()["error"]) == (400, True)


async def test_changes_that_add_up_to_too_many_labels_are_refused(registry):
    await register(registry.http, "a", labels={f"own{n}": "v" for n in range(40)})
    assert (await registry.http.patch("/agents/a", json={"labels": {f"n{n}": "v" for n in range(40)}})).is_error
    gone = {f"own{n}": None for n in range(40)} | {"unknown": None}
    assert (await registry.http.patch("/agents/a", json={"labels": gone})).json()["labels"] == {}


async def test_components_status_is_of_the_agents_that_have_the_label(registry):
    await registry.http.put("/components/prompt/p", json={"template": "x"})
    for agent_id, team in (("a", "billing"), ("b", "claims")):
        await register(registry.http, agent_id, labels={"team": team})
        body = {
            "generation": 1,
            "refs": [{"kind": "prompt", "id": "p", "version": 1, "digest": "d", "status": "ready"}],
        }
        assert (await registry.http.put(f"/agents/{agent_id}/components", json=body)).status_code == 200
    found = (await registry.http.get("/components/prompt/p/status?label=team%3Dbilling")).json()
    assert ([use["agent_id"] for use in found["agents"]], found["summary"]["behind"]) == (["a"], 1)
