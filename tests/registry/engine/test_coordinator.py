"""Choosing an agent among those that live: by what they can do, and by what their cards say of them."""

from typing import Any

import pytest

from tests.registry.engine.executions import events_of, start, story, until
from tests.registry.engine.model_server import running_model_server
from tests.registry.engine.workflows import document
from tests.registry.registries import Served, running_registry


@pytest.fixture
async def served(registry_dsn):
    async with running_registry(registry_dsn, worker=True, jamjet_model="offline") as served:
        yield served


async def register(served: Served, agent_id: str, *skills: str, active: bool = True, **card: Any) -> None:
    body = {
        "id": agent_id,
        "uri": f"http://{agent_id}.test",
        "name": agent_id,
        "capabilities": {"skills": [{"name": skill} for skill in skills], "protocols": ["a2a"]},
        **card,
    }
    assert (await served.http.post("/agents", json=body)).status_code == 201
    if active:
        assert (await served.http.post(f"/agents/{agent_id}/activate")).status_code == 200


def choosing(**kind: Any) -> dict[str, Any]:
    return document({"pick": {"type": "coordinator", "output_key": "chosen", "weights": {}, **kind}}, [])


async def chosen(served: Served, **kind: Any) -> Any:
    row = await until(served.registry, await start(served.registry, choosing(**kind)))
    assert row.status == "completed", row.error
    return row.state["chosen"].removeprefix("http://").removesuffix(".test")


async def test_whoever_has_all_that_is_required_and_most_of_what_is_preferred_is_chosen(served: Served):
    await register(served, "a", "billing")
    await register(served, "b", "billing", "French")
    await register(served, "c", "french", "dutch")
    assert await chosen(served, required_skills=["Billing"], preferred_skills=["french", "dutch"]) == "b"
    assert await chosen(served, required_skills=["dutch", "french"]) == "c"


async def test_of_those_that_are_equally_good_it_is_always_the_same(served: Served):
    for name in ("c", "a", "b"):
        await register(served, name, "billing")
    assert [await chosen(served, required_skills=["billing"]) for _ in range(3)] == ["a"] * 3


async def test_the_weights_decide_what_counts(served: Served):
    await register(served, "cheap", "billing", cost_class="low", latency_class="high")
    await register(served, "fast", "billing", cost_class="high", latency_class="low")
    nothing = {"capability_fit": 0, "trust_compatibility": 0, "historical_performance": 0}
    assert await chosen(served, weights={**nothing, "cost_fit": 1, "latency_fit": 0}) == "cheap"
    assert await chosen(served, weights={**nothing, "cost_fit": 0, "latency_fit": 1}) == "fast"


async def test_only_agents_of_the_trust_domain_are_chosen(served: Served):
    await register(served, "a", "billing", labels={"trust_domain": "partner"})
    await register(served, "b", "billing", trust_domain="internal")
    assert await chosen(served, required_skills=["billing"], trust_domain="internal") == "b"


async def test_nobody_is_chosen_who_is_not_there(served: Served):
    await register(served, "a", "billing", active=False)
    await register(served, "b", "billing")
    await served.http.post("/agents/b/heartbeat", json={"health": "failing"})
    ir = choosing(required_skills=["billing"])
    ir["nodes"]["pick"]["retry_policy"] = "fast"
    execution = await start(served.registry, ir)
    row = await until(served.registry, execution)
    assert row.error == "node pick: no agent with the skills billing is alive"
    told = await story(served.registry, execution)
    assert told.count("coordinator_decision pick") == 2
    assert told.count("retry_scheduled pick") == 1


async def test_how_it_came_to_the_decision_is_told(served: Served):
    await register(served, "a", "billing")
    await register(served, "b", "billing", "french")
    await register(served, "c", "french")
    execution = await start(
        served.registry, choosing(required_skills=["billing", "french"], preferred_skills=["french"])
    )
    await until(served.registry, execution)
    told = {event.type: event.data for event in await events_of(served.registry, execution)}
    discovery, decision = told["coordinator_discovery"], told["coordinator_decision"]
    assert [each["uri"] for each in discovery["candidates"]] == ["http://b.test"]
    assert {each["reason"] for each in discovery["filtered_out"]} == {
        "missing skills: french",
        "missing skills: billing",
    }
    assert (decision["selected"], decision["method"]) == ("http://b.test", "single_candidate")


async def test_a_model_that_names_nobody_leaves_it_to_the_scores(served: Served):
    await register(served, "a", "billing")
    await register(served, "b", "billing")
    tiebreaker = {"model": "some/model", "threshold": 0.1}
    execution = await start(served.registry, choosing(tiebreaker=tiebreaker))
    row = await until(served.registry, execution)
    told = {event.type: event.data for event in await events_of(served.registry, execution)}
    assert row.state["chosen"] == "http://a.test"
    assert told["coordinator_decision"]["method"] == "tiebreaker_failed"
    assert told["node_completed"]["gen_ai_model"]


async def test_a_model_may_decide_between_those_that_are_as_good(registry_dsn):
    async with (
        running_model_server() as model,
        running_registry(registry_dsn, worker=True, jamjet_model_seam_url=model.url) as served,
    ):
        model.answers.append("b")
        model.answers.popleft()
        for name in ("a", "b", "c"):
            await register(served, name, "billing")
        tiebreaker = {"model": "some/model", "threshold": 0.1, "max_candidates": 2}
        assert await chosen(served, task="Bill {{ state.x }}", tiebreaker=tiebreaker) == "b"
        (asked,) = model.requests
        assert "c" not in [line.strip() for line in asked["messages"][0]["content"].split('"')]


async def test_an_agent_is_found_by_its_skill_and_its_protocol(served: Served):
    await register(
        served, "a", "translate", capabilities={"skills": [{"name": "translate"}], "protocols": ["mcp"]}
    )
    await register(served, "b", "translate")
    find = {"type": "agent_discovery", "skill": "Translate", "protocol": "a2a", "output_binding": "translator"}
    row = await until(served.registry, await start(served.registry, document({"find": find}, [])))
    assert row.state == {"translator": "http://b.test"}


async def test_nobody_with_the_skill_fails_the_node(served: Served):
    find = {"type": "agent_discovery", "skill": "translate", "output_binding": "translator"}
    ir = document({"find": find}, [])
    ir["nodes"]["find"]["retry_policy"] = "no_retry"
    row = await until(served.registry, await start(served.registry, ir))
    assert row.error == "node find: no agent with the skill translate is alive"
