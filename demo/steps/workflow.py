"""A workflow that calls the agent, waits for a person, and goes on."""

import asyncio
import json
import re
import shlex

from demo.calls import Call
from demo.steps.project import AGENT_ID
from demo.steps.registry import run_registry
from demo.tour import StepFailed, Tour

_FILE = "booking.json"
_APPROVAL = "confirm"
_WORKFLOW = {
    "workflow_id": "booking",
    "version": "1.0.0",
    "start_node": "estimate",
    "nodes": {
        "estimate": {
            "kind": {
                "type": "agent",
                "agent_ref": AGENT_ID,
                "input_mapping": {"text": "{{ state.question }}"},
                "output_schema": "estimate",
            }
        },
        _APPROVAL: {"kind": {"type": "human_approval", "description": "Is that a fair price?"}},
        "thank": {
            "kind": {
                "type": "agent",
                "agent_ref": AGENT_ID,
                "input_mapping": {"text": "The price is agreed: {{ state.estimate }}"},
                "output_schema": "answer",
            }
        },
    },
    "edges": [{"from": "estimate", "to": _APPROVAL}, {"from": _APPROVAL, "to": "thank"}],
}
_QUESTION = 'call add {"a": 120, "b": 35}'


async def run_a_workflow(tour: Tour) -> None:
    tour.screen.say(
        "The registry runs workflows, too: JamJet's documents, durably, on LangGraph. This one asks the agent,"
        " then a person, then the agent again:"
    )
    tour.screen.document(_WORKFLOW)
    (tour.registry.directory / _FILE).write_text(json.dumps(_WORKFLOW), encoding="utf-8")
    command = ["run", _FILE, "--input", json.dumps({"question": _QUESTION}), "--follow"]
    tour.screen.command("export JAMJET_TOKEN=$DEVELOPER", shlex.join(["registry", *command]))
    followed = asyncio.create_task(run_registry(tour, *command, role="developer"))
    try:
        execution_id = await _find_paused(tour, followed)
        await _approve(tour, execution_id)
        output = await followed
    finally:
        followed.cancel()
    tour.screen.say("And the first terminal has shown what happened, as it happened:")
    tour.screen.lines(output.splitlines())
    completed = re.search(r"^status +completed$", output, re.MULTILINE)
    tour.check(
        completed is not None and "155" in output, "it is completed, with what the agent has answered", output
    )


async def _find_paused(tour: Tour, followed: asyncio.Task[str]) -> str:
    """The id of the execution, once it waits. Raises `StepFailed` when it ends before."""
    paused = Call("GET", f"{tour.registry.url}/executions?status=paused", bearer=tour.tokens["viewer"])
    await tour.wait_for(
        paused, lambda answer: answer["executions"] or followed.done(), "the execution waits for a person"
    )
    if followed.done():
        raise StepFailed(f"it did not wait for a person: {await followed}")
    answer = (await tour.http.send(paused.request(tour.http))).json()
    execution_id: str = answer["executions"][0]["execution_id"]
    return execution_id


async def _approve(tour: Tour, execution_id: str) -> None:
    tour.screen.say("The agent has answered, and the execution waits; no process does. In another terminal:")
    path = f"/executions/{execution_id}"
    waiting = await tour.ask_registry("GET", f"{path}/approvals", role="viewer")
    tour.check([one["node_id"] for one in waiting["pending"]] == [_APPROVAL], "it waits for a person", waiting)
    decision = {"decision": "approved", "user_id": "ada", "comment": "a bargain"}
    await tour.ask_registry("POST", f"{path}/approve", decision, role="developer")
    await tour.ask_registry("POST", f"{path}/approve", decision, role="developer", refused=409)
    tour.check(True, "a decision counts once")
