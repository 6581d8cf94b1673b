"""What waits for a person is listed, decided once, and goes on with the decision."""

import asyncio
from collections import Counter

import httpx
import pytest

from tests.registry.engine.workflows import STEP, document
from tests.registry.executions.runs import PAYMENT, REVIEW, TWO_REVIEWS, approve, events_of, paused, start, until
from tests.registry.registries import Served

CLAIM = {"worker_id": "w", "queue_types": ["python_tool"]}


@pytest.fixture
def http(registry: Served) -> httpx.AsyncClient:
    return registry.http


async def test_a_decision_is_accepted_and_goes_into_the_state(http):
    execution_id = await paused(http, REVIEW, priority="low", drop=1)
    patch = {"priority": "high", "drop": None}
    answer = await approve(http, execution_id, user_id="user-42", comment="Looks good.", state_patch=patch)
    accepted = {"execution_id": execution_id, "node_id": "review", "accepted": True}
    assert (answer.status_code, answer.json()) == (200, accepted)
    execution = await until(http, execution_id)
    assert execution["status"] == "completed"
    assert execution["state"].items() >= {"priority": "high", "decision": "approved"}.items()
    decided = next(event for event in await events_of(http, execution_id) if event["kind"] == "ApprovalReceived")
    assert decided["node_id"] == "review"
    assert (
        decided["data"].items() >= {"user_id": "user-42", "comment": "Looks good.", "state_patch": patch}.items()
    )


async def test_a_rejection_ends_what_has_no_way_for_it(http):
    execution_id = await paused(http, REVIEW)
    assert (await approve(http, execution_id, decision="rejected", comment="no")).status_code == 200
    execution = await until(http, execution_id)
    assert execution["status"] == "failed"
    assert "approval rejected" in execution["error"] == execution["detail"]


async def test_of_fifty_decisions_at_once_one_is_accepted(http):
    execution_id = await paused(http, REVIEW)
    answers = await asyncio.gather(*(approve(http, execution_id) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 49}
    await until(http, execution_id)
    kinds = Counter(event["kind"] for event in await events_of(http, execution_id))
    assert (kinds["ApprovalReceived"], kinds["NodeCompleted"], kinds["WorkflowCompleted"]) == (1, 2, 1)


async def test_with_several_waiting_a_decision_has_to_say_for_which(http):
    execution_id = await paused(http, TWO_REVIEWS)
    answer = await approve(http, execution_id)
    said = {"error": "bad request: node_id is required: left, right wait for approval"}
    assert (answer.status_code, answer.json()) == (400, said)
    assert len((await http.get(f"/executions/{execution_id}/approvals")).json()["pending"]) == 2
    assert (await approve(http, execution_id, node_id="right")).json()["node_id"] == "right"
    again = await approve(http, execution_id, node_id="right")
    assert (again.status_code, again.json()) == (409, {"error": "conflict: node right waits for no approval"})
    assert (await approve(http, execution_id, node_id="left")).status_code == 200
    assert (await until(http, execution_id))["status"] == "completed"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "decision is required"),
        ({"decision": "maybe"}, "decision should be 'approved' or 'rejected'"),
        ({"decision": "approved", "state_patch": [1]}, "state_patch should be an object"),
        ({"decision": "approved", "node_id": 7}, "node_id should be a valid string"),
    ],
)
async def test_a_decision_that_cannot_be_read_is_refused(http, body, said):
    execution_id = await paused(http, REVIEW)
    answer = await http.post(f"/executions/{execution_id}/approve", json=body)
    assert (answer.status_code, answer.json()) == (400, {"error": f"bad request: {said}"})
    assert (await http.get(f"/executions/{execution_id}")).json()["status"] == "paused"


async def test_pending_and_decided_approvals_are_listed(http):
    execution_id = await paused(http, REVIEW)
    approvals = (await http.get(f"/executions/{execution_id}/approvals")).json()
    assert approvals["decided"] == []
    (pending,) = approvals["pending"]
    assert pending.items() >= {"execution_id": execution_id, "node_id": "review", "tool_name": None}.items()
    assert pending["context"] == {"description": "Pay it?"}
    events = await events_of(http, execution_id)
    assert events[pending["sequence"] - 1]["kind"] == "InterruptRaised"
    await approve(http, execution_id, user_id="kim")
    await until(http, execution_id)
    approvals = (await http.get(f"/executions/{execution_id}/approvals")).json()
    assert approvals["pending"] == []
    (decided,) = approvals["decided"]
    assert (
        decided.items() >= {"node_id": "review", "status": "approved", "user_id": "kim", "comment": None}.items()
    )


async def test_what_waits_in_an_execution_that_another_began_is_decided_through_either(http):
    await http.post("/workflows", json={"ir": REVIEW | {"workflow_id": "child"}})
    calls = {name: {"type": "subgraph", "workflow_ref": "child"} for name in ("one", "two")}
    parent = document({"both": {"type": "parallel", "branches": ["one", "two"]}, **calls, "own": STEP}, [])
    execution_id = await start(http, parent)
    path = f"/executions/{execution_id}/approvals"
    async with asyncio.timeout(10):
        while len(pending := (await http.get(path)).json()["pending"]) < 2:
            await asyncio.sleep(0.02)
    ambiguous = await approve(http, execution_id, node_id="review")
    assert (ambiguous.status_code, "in several executions" in ambiguous.text) == (400, True)
    assert (await approve(http, pending[0]["execution_id"], node_id="review")).status_code == 200
    assert (await approve(http, execution_id)).json()["node_id"] == "review"
    assert (await until(http, execution_id))["status"] == "completed"
    assert len((await http.get(path)).json()["decided"]) == 2


@pytest.mark.parametrize(
    ("patch", "state"),
    [
        ({"a": None}, {"b": {"c": 1, "d": 2}, "e": [1, 2]}),
        ({"b": {"c": None, "x": {"y": None, "z": 1}}}, {"a": 1, "b": {"d": 2, "x": {"z": 1}}, "e": [1, 2]}),
        ({"e": [3], "none": None, "a": True}, {"a": True, "b": {"c": 1, "d": 2}, "e": [3]}),
        ({"a": {"k": None}}, {"a": {}, "b": {"c": 1, "d": 2}, "e": [1, 2]}),
    ],
)
async def test_a_state_patch_is_a_merge_patch_and_null_removes(http, patch, state):
    execution_id = await paused(http, REVIEW, a=1, b={"c": 1, "d": 2}, e=[1, 2])
    await approve(http, execution_id, state_patch=patch)
    execution = await until(http, execution_id)
    assert execution["state"] == state | {"decision": "approved"}
    assert type(execution["state"].get("a")) is type(state.get("a"))


async def test_who_waits_for_a_paused_execution_is_paused_until_that_goes_on(http):
    for name, child in (("grandchild", PAYMENT), ("child", None)):
        call = {"call": {"type": "subgraph", "workflow_ref": "grandchild"}}
        await http.post("/workflows", json={"ir": (child or document(call, [])) | {"workflow_id": name}})
    branches = {"call": {"type": "subgraph", "workflow_ref": "child"}, "ask": {"type": "human_approval"}}
    work = {"work": {"type": "python_fn", "module": "m", "function": "f"}}
    both = {"both": {"type": "parallel", "branches": [*branches, *work]}}
    execution_id = await start(http, document({**both, **branches, **work}, []))
    item = await _claimed(http)
    assert (await http.get(f"/executions/{execution_id}")).json()["status"] == "running"  # a branch goes on
    await http.post(f"/work-items/{item['id']}/complete", json={"lease_fence": item["lease_fence"]})
    await until(http, execution_id, "paused")
    listed = (await http.get("/executions?status=paused")).json()["executions"]
    family = [each["execution_id"] for each in listed]
    assert len(family) == 3
    await approve(http, execution_id, node_id="ask")
    await http.post(f"/executions/{family[0]}/external-event", json={"correlation_key": "payment-received"})
    assert (await until(http, execution_id))["status"] == "completed"


async def _claimed(http):
    async with asyncio.timeout(20):
        while not (answer := await http.post("/work-items/claim", json=CLAIM)).json()["claimed"]:
            await asyncio.sleep(0.05)
    return answer.json()["work_item"]
