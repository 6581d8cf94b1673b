"""How a change reaches the agents: the generation, what they resolve, and what they say to run."""

import asyncio

import pytest

from tests.registry.agents.agents import beat, register, run_agent
from tests.registry.components.samples import MODEL, PROMPT, reference, report, resolve, write

LASTING = {"heartbeat_seconds": 600}


async def test_what_is_resolved_comes_in_the_order_that_was_asked_for(registry):
    prompt, model = await write(registry.http, "prompt/a", PROMPT), await write(registry.http, "model/a", MODEL)
    await register(registry.http, "peer")
    names = ("model/a", "agent/peer", "prompt/none", "agent/none", "prompt/a")
    answer = await resolve(registry.http, *map(reference, names))
    assert [f"{each['kind']}/{each['id']}" for each in answer["components"]] == list(names)
    assert [each["found"] for each in answer["components"]] == [True, True, False, False, True]
    peer = answer["components"][1]
    assert answer["components"][0] == {**reference("model/a"), "found": True, **_parts(model)}
    assert peer["content"] == {"url": "http://agents.test/peer", "name": "Research Agent"}
    assert (await registry.http.get("/components/agent/peer")).json()["digest"] == peer["digest"]
    assert answer["components"][4]["content"] == prompt["content"]


async def test_whoever_has_the_current_one_is_not_sent_it_again(registry):
    await write(registry.http, "prompt/a", PROMPT)
    await register(registry.http, "peer")
    refs = [reference("prompt/a"), reference("agent/peer")]
    first = (await resolve(registry.http, *refs))["components"]
    known = [ref | {"digest": each["digest"]} for ref, each in zip(refs, first, strict=True)]
    again = (await resolve(registry.http, *known))["components"]
    assert [each | {"content": first[n]["content"]} for n, each in enumerate(again)] == first
    assert not any("content" in each for each in again)


@pytest.mark.parametrize("refs", [[], [{"kind": "tool", "id": "x"}], [{"kind": "model"}], None, 501 * [{}]])
async def test_what_cannot_be_resolved_is_refused(registry, refs):
    answer = await registry.http.post("/components/resolve", json={"refs": refs})
    assert (answer.status_code, "refs" in answer.json()["error"]) == (400, True)


async def test_a_heartbeat_tells_of_every_change_and_of_nothing_else(registry):
    registered = await register(registry.http, "me", incarnation="one", **LASTING)
    assert registered["component_generation"] == 0
    seen = []
    for change in (
        write(registry.http, "prompt/a", PROMPT),
        write(registry.http, "prompt/a", PROMPT),
        write(registry.http, "prompt/a", {"template": "new"}),
        registry.http.post("/components/prompt/a/rollback", json={"version": 1}),
        registry.http.delete("/components/prompt/a"),
    ):
        await change
        seen.append((await beat(registry.http, "me", incarnation="one")).json()["component_generation"])
    assert seen == [1, 1, 2, 3, 4]
    assert (await resolve(registry.http, reference("prompt/a")))["generation"] == 4
    unusual = await beat(registry.http, "me", incarnation="one", health="failing", reason="x")
    assert unusual.json()["component_generation"] == 4
    assert (await register(registry.http, "me", incarnation="one"))["component_generation"] == 4


async def test_another_tenants_changes_are_not_counted(registry):
    await write(await registry.client_of("developer", "acme"), "prompt/a", PROMPT)
    assert (await register(registry.http, "me"))["component_generation"] == 0


async def test_an_agent_that_somebody_uses_is_counted_when_it_becomes_another(registry):
    await run_agent(registry.http, "peer", **LASTING)
    await register(registry.http, "me", incarnation="one", **LASTING)
    peer = (await resolve(registry.http, reference("agent/peer")))["components"][0]
    await register(registry.http, "peer", name="Changed", **LASTING)
    assert await _generation(registry.http) == 0
    peer = (await resolve(registry.http, reference("agent/peer")))["components"][0]
    await report(registry.http, "me", _ready("agent/peer", peer))
    seen = []
    for change in (
        register(registry.http, "peer", name="Changed", **LASTING),
        register(registry.http, "peer", name="Again", **LASTING),
        registry.http.post("/agents/peer/pause"),
        registry.http.post("/agents/peer/deactivate", json={"incarnation": "the last one"}),
        registry.http.post("/agents/peer/deactivate"),
        registry.http.post("/agents/peer/activate"),
        registry.http.delete("/agents/peer"),
        register(registry.http, "peer", **LASTING),
    ):
        await change
        seen.append(await _generation(registry.http))
    assert seen == [0, 1, 1, 1, 2, 3, 4, 5]


async def test_the_version_of_an_agent_counts_its_cards(registry):
    versions = []
    for name in ("A", "A", "B", "A"):
        await register(registry.http, "peer", name=name)
        versions.append((await registry.http.get("/components/agent/peer")).json()["version"])
    assert versions == [1, 1, 2, 3]
    assert (await registry.http.get("/components/agent/peer?version=1")).status_code == 404
    listed = (await registry.http.get("/components?kind=agent")).json()["components"]
    assert [(each["id"], each["version"]) for each in listed] == [("peer", 3)]


async def test_an_agent_that_changed_before_its_first_user_was_known_is_made_up_for_once(registry):
    await run_agent(registry.http, "peer", **LASTING)
    await register(registry.http, "me", incarnation="one", **LASTING)
    old = (await resolve(registry.http, reference("agent/peer")))["components"][0]
    await register(registry.http, "peer", name="Changed", **LASTING)
    for _ in range(3):
        await report(registry.http, "me", _ready("agent/peer", old))
        assert await _generation(registry.http) == 1


async def test_the_status_tells_who_runs_what_and_who_refused_it_and_why(registry):
    old = await write(registry.http, "prompt/a", PROMPT)
    new = await write(registry.http, "prompt/a", {"template": "{{ nonsense }}"})
    uses = {
        "a": _ready("prompt/a", new),
        "b": _ready("prompt/a", old),
        "c": _ready("prompt/a", old) | {"status": "failed", "error": "nonsense is not known"},
        "d": reference("prompt/a", version=None, digest=None, status="fallback", error="no registry"),
    }
    for agent_id, use in uses.items():
        await register(registry.http, agent_id, incarnation="one", **LASTING)
        assert (await report(registry.http, agent_id, use)).json() == {"agent_id": agent_id, "ok": True}
    status = (await registry.http.get("/components/prompt/a/status")).json()
    assert (status["version"], status["digest"]) == (2, new["digest"])
    assert status["summary"] == {"current": 1, "behind": 1, "failed": 1, "fallback": 1}
    assert [(each["agent_id"], each["version"], each["state"]) for each in status["agents"]] == [
        ("a", 2, "current"),
        ("b", 1, "behind"),
        ("c", 1, "failed"),
        ("d", None, "fallback"),
    ]
    assert status["agents"][2]["error"] == "nonsense is not known"
    page = (await registry.http.get("/components/prompt/a/status?limit=3")).json()
    rest = (await registry.http.get(f"/components/prompt/a/status?cursor={page['next_cursor']}")).json()
    assert [each["agent_id"] for each in rest["agents"]] == ["d"]


async def test_only_the_living_are_counted_and_who_leaves_is_forgotten(registry):
    written = await write(registry.http, "prompt/a", PROMPT)
    for incarnation, seconds in (("one", 0.2), ("two", 600)):
        await register(registry.http, "me", incarnation=incarnation, heartbeat_seconds=seconds)
        await report(registry.http, "me", _ready("prompt/a", written), incarnation=incarnation)
    await asyncio.sleep(0.6)
    status = (await registry.http.get("/components/prompt/a/status")).json()
    assert (status["summary"]["current"], [each["alive"] for each in status["agents"]]) == (1, [False, True])
    await registry.http.post("/agents/me/deactivate", json={"incarnation": "two"})
    status = (await registry.http.get("/components/prompt/a/status")).json()
    assert [each["incarnation"] for each in status["agents"]] == ["one"]


async def test_a_report_replaces_the_one_before(registry):
    written = await write(registry.http, "prompt/a", PROMPT)
    await register(registry.http, "me", incarnation="one", **LASTING)
    for uses in ([_ready("prompt/a", written), _ready("prompt/b", written)], [_ready("prompt/b", written)]):
        await report(registry.http, "me", *uses)
    assert (await registry.http.get("/components/prompt/a/status")).json()["agents"] == []
    waiting = (await registry.http.get("/components/prompt/b/status")).json()
    assert (waiting["version"], waiting["agents"][0]["state"]) == (None, "behind")


async def test_who_is_not_known_reports_nothing(registry):
    assert (await report(registry.http, "nobody")).status_code == 404
    await register(registry.http, "me", incarnation="one", **LASTING)
    assert (await report(registry.http, "me", incarnation="two")).status_code == 410
    twice = await report(registry.http, "me", *2 * [reference("prompt/a", status="failed")])
    assert (twice.status_code, "more than once" in twice.json()["error"]) == (400, True)


async def test_reports_at_once_and_changes_of_what_they_use_do_not_hold_each_other_up(registry):
    for agent_id in ("me", "peer"):
        await register(registry.http, agent_id, incarnation="one", **LASTING)
    use = [reference(f"agent/{agent_id}", status="failed") for agent_id in ("me", "peer")]
    calls = [
        call
        for n in range(10)
        for call in (
            report(registry.http, "me", *use),
            report(registry.http, "peer", *reversed(use)),
            registry.http.post("/agents/peer/deactivate", json={"incarnation": f"gone {n}"}),
            register(registry.http, "me", name=f"Name {n}", incarnation="one", **LASTING),
            beat(registry.http, "peer", incarnation="one"),
        )
    ]
    answers = await asyncio.wait_for(asyncio.gather(*calls), 30)
    assert {answer.status_code for answer in answers if hasattr(answer, "status_code")} == {200}


def _parts(component):
    return {name: component[name] for name in ("version", "digest", "content")}


def _ready(name, found):
    return reference(name, version=found["version"], digest=found["digest"], status="ready")


async def _generation(http):
    return (await beat(http, "me", incarnation="one")).json()["component_generation"]
