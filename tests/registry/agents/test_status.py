"""What becomes of an agent's status."""

import pytest

from registry.agents.lifecycle import STATUSES, check_change
from registry.errors import Conflict
from tests.registry.agents.agents import get, register, run_agent

LEGAL = {
    ("registered", "active"),
    ("registered", "deactivated"),
    ("active", "paused"),
    ("active", "deactivated"),
    ("paused", "active"),
    ("paused", "deactivated"),
    ("active", "draining"),
    ("paused", "draining"),
    ("draining", "active"),
    ("draining", "paused"),
    ("draining", "deactivated"),
    ("deactivated", "active"),
}


@pytest.mark.parametrize("current", STATUSES)
@pytest.mark.parametrize("wanted", STATUSES)
def test_only_legal_changes_are_possible(current, wanted):
    if current == wanted or (current, wanted) in LEGAL:
        check_change("a", current, wanted)
        return
    with pytest.raises(Conflict, match=f"{current} and cannot become {wanted}"):
        check_change("a", current, wanted)


async def test_a_client_that_sends_no_body_and_no_type_is_understood(registry):
    await register(registry.http)
    for verb, status in (("activate", "active"), ("pause", "paused"), ("deactivate", "deactivated")):
        answer = await registry.http.post(f"/agents/research-agent/{verb}")
        assert answer.json() == {"agent_id": "research-agent", "status": status}
    assert (await get(registry.http))["status"] == "deactivated"


async def test_an_impossible_change_is_a_conflict_that_names_both(registry):
    await register(registry.http)
    answer = await registry.http.post("/agents/research-agent/pause")
    assert answer.status_code == 409
    assert answer.json()["error"].startswith(
        "conflict: agent research-agent is registered and cannot become paused"
    )


async def test_a_pause_and_a_drain_are_undone_and_nothing_else_is(registry):
    await run_agent(registry.http)
    for verb in ("pause", "drain", "pause"):
        assert (await registry.http.post(f"/agents/research-agent/{verb}")).status_code == 200
    resumed = [(await registry.http.post("/agents/research-agent/resume")).json()["status"] for _ in range(2)]
    assert resumed == ["active", "active"]
    await registry.http.post("/agents/research-agent/deactivate")
    assert (await registry.http.post("/agents/research-agent/resume")).status_code == 409


async def test_what_a_process_said_before_it_was_resumed_is_not_taken_for_a_later_drain(registry):
    http = registry.http
    await run_agent(http, incarnation="one")
    said = []
    for verb in ("drain", "resume", "drain"):
        await http.post(f"/agents/research-agent/{verb}")
        said.append((await get(http))["instances"][0]["drained"])
        body = {"incarnation": "one", "drained": verb == "drain"}
        assert (await http.post("/agents/research-agent/heartbeat", json=body)).status_code == 200
    assert (said, (await get(http))["instances"][0]["drained"]) == ([False, False, False], True)


async def test_repeating_a_change_is_harmless(registry):
    await run_agent(registry.http)
    again = await registry.http.post("/agents/research-agent/activate")
    assert (again.status_code, again.json()["status"]) == (200, "active")


async def test_an_unknown_agent_has_no_status(registry):
    for verb in ("activate", "pause", "deactivate"):
        answer = await registry.http.post(f"/agents/nobody/{verb}")
        assert answer.status_code == 404
        assert "nobody" in answer.json()["error"]


async def test_an_agent_ends_when_its_last_process_leaves(registry):
    http = registry.http
    await run_agent(http, incarnation="one")
    await register(http, incarnation="two")
    leaving = [
        (await http.post("/agents/research-agent/deactivate", json={"incarnation": name})).json()["status"]
        for name in ("one", "two")
    ]
    assert leaving == ["active", "deactivated"]


async def test_the_goodbye_of_an_earlier_process_does_not_end_its_successor(registry):
    http = registry.http
    await run_agent(http, incarnation="new")
    await http.post("/agents/research-agent/deactivate", json={"incarnation": "old"})
    assert (await get(http))["alive"]


async def test_an_operators_word_ends_all_processes(registry):
    http = registry.http
    await run_agent(http, incarnation="one")
    await register(http, incarnation="two")
    assert (await http.post("/agents/research-agent/deactivate")).json()["status"] == "deactivated"
    assert not (await get(http))["alive"]


async def test_a_paused_agent_stays_paused_while_its_processes_come_and_go(registry):
    http = registry.http
    await run_agent(http, incarnation="one")
    await http.post("/agents/research-agent/pause")
    assert (await register(http, incarnation="two"))["status"] == "paused"
    await http.post("/agents/research-agent/deactivate", json={"incarnation": "one"})
    agent = await get(http)
    assert (agent["status"], agent["alive"]) == ("paused", False)


async def test_a_process_that_comes_back_after_the_last_had_left_makes_the_agent_active_again(registry):
    await run_agent(registry.http, incarnation="one")
    await registry.http.post("/agents/research-agent/deactivate", json={"incarnation": "one"})
    assert (await register(registry.http, incarnation="two"))["status"] == "active"
    assert (await get(registry.http))["alive"] is True


async def test_a_process_that_comes_back_does_not_undo_what_an_operator_has_done(registry):
    await run_agent(registry.http, incarnation="one")
    await registry.http.post("/agents/research-agent/deactivate")
    await registry.http.post("/agents/research-agent/deactivate", json={"incarnation": "one"})
    assert (await register(registry.http, incarnation="two"))["status"] == "deactivated"
