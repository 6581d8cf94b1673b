"""What waits for a person in one list of the registry: nodes of workflows, and questions of agents."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.decisions import service
from tests.agents import SCRIPTED, Agent
from tests.contract.test_gateway import an_agent_of
from tests.registry.cli.commands import registry_command
from tests.registry.executions.runs import REVIEW, paused, until
from tests.registry.registries import Served, running_registry

GATEWAY = "/agents/my-agent/admin/decisions"


@pytest.fixture
async def served(registry_dsn: str) -> AsyncIterator[Served]:
    async with running_registry(registry_dsn, worker=True) as served:
        yield served


@pytest.fixture
async def agent(tmp_path: Path, database_url: str, served: Served) -> AsyncIterator[Agent]:
    async with an_agent_of(served, tmp_path, database_url, SCRIPTED) as agent:
        yield agent


async def listed(http: httpx.AsyncClient, count: int = 1, **query: Any) -> list[dict[str, Any]]:
    """The decisions of the list, once there are so many."""
    async with asyncio.timeout(10):
        while True:
            answer = await http.get("/decisions", params=query)
            assert answer.status_code == 200, answer.text
            found: list[dict[str, Any]] = answer.json()["decisions"]
            if len(found) == count:
                return found
            await asyncio.sleep(0.05)


async def test_twenty_answers_over_registry_and_gateway_have_one_effect(served: Served, agent: Agent) -> None:
    task_id = (await agent.send("ask Pay?"))["task"]["id"]
    (question,) = await listed(served.http)
    assert (question["agent_id"], question["task_id"], question["text"]) == ("my-agent", task_id, "Pay?")
    place, body = f"/decisions/{question['decision_id']}", {"answer": "yes", "digest": question["digest"]}
    paths = [place, f"{GATEWAY}/{task_id}"] * 10
    answers = await asyncio.gather(*(served.http.post(path, json=body) for path in paths))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}
    me = (await served.http.get("/audit?limit=1")).json()["items"][0]["actor_id"]
    lost = [answer.json() for answer in answers if answer.status_code == 409]
    assert {(said.get("error") if "success" in said else said)["decided_by"] for said in lost} == {me}
    (decided,) = await listed(served.http, state="decided")
    assert (decided["decided_by"], await listed(served.http, 0)) == (me, [])
    while "end ask Pay?" not in agent.journal():
        await asyncio.sleep(0.02)
    assert agent.journal().count("end ask Pay?") == 1


async def test_an_answer_of_its_caller_closes_the_question_and_a_dead_agents_stays(
    served: Served, tmp_path: Path, database_url: str
) -> None:
    async with an_agent_of(served, tmp_path, database_url, SCRIPTED) as agent:
        await _answer_as_the_caller(served, agent)
        await agent.send("ask Or not?")
        (question,) = await listed(served.http)
    refused = await served.http.post(f"/decisions/{question['decision_id']}", json={"answer": "yes"})
    assert refused.status_code == 503, refused.text
    assert await listed(served.http) == [question]


async def _answer_as_the_caller(served: Served, agent: Agent) -> None:
    task = (await agent.send("ask Pay?"))["task"]
    (question,) = await listed(served.http, kind="question", agent_id="my-agent")
    await agent.send("yes", taskId=task["id"], contextId=task["contextId"])
    (decided,) = await listed(served.http, state="decided")
    assert decided["decided_by"] == "its caller"
    late = await served.http.post(f"/decisions/{question['decision_id']}", json={"answer": "yes"})
    assert (late.status_code, late.json()["decided_by"]) == (409, "its caller")


async def test_a_decision_that_an_agent_did_not_confirm_is_told_again(
    served: Served, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.gateway.service.ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(service, "_TIME_TO_DELIVER", 0.0)
    await agent.send("ask Pay?")
    (question,) = await listed(served.http)
    made = await served.http.post(f"/decisions/{question['decision_id']}", json={"answer": "yes"})
    assert (made.status_code, made.json()["state"], made.json()["delivered"]) == (200, "decided", False)
    monkeypatch.setattr("registry.gateway.service.ANSWER_SECONDS", 30.0)
    monkeypatch.setattr(service, "_TIME_TO_DELIVER", 60.0)
    await served.registry.decisions.deliver_all()
    assert [one["delivered"] for one in await listed(served.http, state="decided")] == [True]
    while "end ask Pay?" not in agent.journal():
        await asyncio.sleep(0.02)
    assert agent.journal().count("end ask Pay?") == 1


async def test_nodes_of_workflows_are_decided_one_by_one_in_bulk_or_withdrawn(served: Served) -> None:
    first, second = [await paused(served.http, REVIEW) for _ in range(2)]
    page = (await served.http.get("/decisions?limit=1&workflow_id=test&kind=approval")).json()
    (asked,) = page["decisions"]
    assert (asked["execution_id"], asked["node_id"], asked["text"]) == (first, "review", "Pay it?")
    (other,) = await listed(served.http, cursor=page["next_cursor"])
    refused = await served.http.post(f"/decisions/{asked['decision_id']}", json={"answer": "yes"})
    assert (refused.status_code, "approve" in refused.text) == (400, True)
    approve = {"decision_id": asked["decision_id"], "decision": "approve", "digest": asked["digest"]}
    reject = {"decision_id": other["decision_id"], "decision": "reject", "comment": "too much"}
    wrong = approve | {"digest": "0" * 64}
    made = await served.http.post("/decisions:bulk", json={"decisions": [wrong, approve, reject]})
    results = made.json()["results"]
    assert [result["status"] for result in results] == [409, 200, 200]
    assert (results[2]["decision"]["decision"], results[2]["decision"]["comment"]) == ("reject", "too much")
    assert (await until(served.http, first))["status"] == "completed"
    assert "too much" in (await until(served.http, second))["error"]
    late = await served.http.post(f"/executions/{first}/approve", json={"decision": "approved"})
    assert late.status_code == 409
    gone = await served.http.post("/decisions/no-such-decision", json={"decision": "approve"})
    assert gone.status_code == 404
    execution = await paused(served.http, REVIEW)
    (asked,) = await listed(served.http)
    await served.http.post(f"/executions/{execution}/cancel")
    assert [one["decision_id"] for one in await listed(served.http, state="withdrawn")] == [asked["decision_id"]]
    late = await served.http.post(f"/decisions/{asked['decision_id']}", json={"decision": "approve"})
    assert late.status_code == 409


async def test_a_tenants_policy_says_who_decides_over_every_door(served: Served) -> None:
    execution = await paused(served.http, REVIEW)
    (asked,) = await listed(served.http)
    place, approve = f"/decisions/{asked['decision_id']}", {"decision": "approve"}
    reviewer, developer = await served.client_of("reviewer"), await served.client_of("developer")
    assert (await reviewer.post(place, json=approve)).status_code == 403
    policy = {"reviewers_decide": True, "decisions": {"roles": ["reviewer"]}}
    await served.http.put("/tenants/default", json={"policy": policy})
    for door in (place, f"/executions/{execution}/approve", f"{GATEWAY}/some-task"):
        assert (await developer.post(door, json={"decision": "approved"})).status_code == 403, door
    assert (await reviewer.post(f"{GATEWAY}/some-task", json=approve)).status_code == 404
    named = policy | {"decisions": {"tokens": ["alice"]}}
    await served.http.put("/tenants/default", json={"policy": named})
    assert (await reviewer.post(place, json=approve)).status_code == 403
    await served.http.put("/tenants/default", json={"policy": policy})
    assert (await reviewer.post(place, json=approve)).status_code == 200


async def test_the_command_lists_and_answers(served: Served) -> None:
    await paused(served.http, REVIEW)
    remote = {"jamjet_url": served.url, "jamjet_token": served.token}
    listing = await registry_command("decisions", "list", "--json", **remote)
    (asked,) = json.loads(listing.stdout)["decisions"]
    assert (await listed(served.http, 0, label="team=billing")) == []
    refused = await registry_command("decisions", "answer", asked["decision_id"], "yes", **remote)
    assert (refused.exit_code, "approve or reject" in refused.output) == (1, True)
    made = await registry_command("decisions", "reject", asked["decision_id"], "-c", "no", "--json", **remote)
    assert (json.loads(made.stdout)["decision"], json.loads(made.stdout)["comment"]) == ("reject", "no")
    late = await registry_command("decisions", "approve", asked["decision_id"], **remote)
    assert (late.exit_code, "was decided by" in late.output) == (1, True)
