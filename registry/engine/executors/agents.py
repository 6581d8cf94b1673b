"""Nodes that ask an agent: one that the workflow describes, one that is registered, or whichever fits."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid5

from groundwork.bounds import NODE_SECONDS
from groundwork.postgres.pool import Pool, connection
from registry.agents.models import Selection
from registry.engine.executors.outputs import patch_of, seconds_for
from registry.engine.executors.policy import load_policies
from registry.engine.executors.registered import find_place, list_candidates
from registry.engine.mapping import resolve
from registry.engine.policies import BadPolicy, tool_verdict
from registry.engine.visits import Visit, kind_of
from registry.executions import store
from registry.executions.events import Completed, Event, Failed, Outcome, Parked
from registry.outbound.clients import OutboundClients
from registry.outbound.conversation import AgentPlace, AgentQuestion, Answer
from registry.outbound.failures import OutboundFailed
from registry.outbound.places import card_urls
from registry.workflows.kinds import A2ATask, AgentCall, AgentTool

_LONGEST_SECONDS = 300.0
_MOST_TURNS = 5
_SUMMARY = 500


@dataclass(frozen=True)
class _Turn:
    """Which turn of a conversation it is, and the task that the agent has asked back about."""

    number: int = 0
    task_id: str | None = None


async def a2a_task(visit: Visit, pool: Pool, outbound: OutboundClients) -> Outcome:
    """The answer goes to `last_a2a_output`, and to the key that the node names. When the agent wants to know more,
    its question does, and the run goes on where `on_input_required` says; coming back to the node then answers it.
    """
    kind = kind_of(visit, A2ATask)
    seconds = min(kind.timeout_secs or seconds_for(visit, _LONGEST_SECONDS), 0.95 * NODE_SECONDS)
    try:
        place = await _remote_agent(visit, pool, outbound, kind.remote_agent)
        turn = _Turn(task_id=await _open_task(visit, pool))
        metadata = {"skill": kind.skill} if kind.skill else {}
        answer = await _ask(visit, outbound, place, _text(visit, kind.input_mapping), turn, metadata, seconds)
    except OutboundFailed as error:
        return error.outcome()
    called = _called(visit, place)
    if answer.state == "input_required":
        asked = {"status": "input_required", "question": answer.value, "task_id": answer.task_id}
        if kind.on_input_required is None:
            return _asks_back(place, answer)
        return Completed(asked, {"last_a2a_output": answer.value}, goto=kind.on_input_required, events=[called])
    patch = patch_of(answer.value, kind.output_schema, "last_a2a_output") | {"last_a2a_output": answer.value}
    return Completed(answer.value, patch, events=[called])


async def agent(visit: Visit, pool: Pool, outbound: OutboundClients) -> Outcome:
    """The answer goes to the key that the node names, else to `last_agent_output`."""
    kind = kind_of(visit, AgentCall)
    try:
        place = await find_place(visit, pool, outbound, kind.agent_ref)
        text = _text(visit, kind.input_mapping)
        answer = await _ask(visit, outbound, place, text, _Turn(), {}, seconds_for(visit, _LONGEST_SECONDS))
    except OutboundFailed as error:
        return error.outcome()
    if answer.state == "input_required":
        return _asks_back(place, answer)
    patch = patch_of(answer.value, kind.output_schema, "last_agent_output")
    return Completed(answer.value, patch, events=[_called(visit, place)])


async def agent_tool(visit: Visit, pool: Pool, outbound: OutboundClients) -> Outcome:
    """The answer goes to the node's `output_key`.

    In a conversation, an agent that wants to know more gets its answer by an external event with the node's id as
    its key: the `text` of its payload, or all of it. `streaming` is the same as `sync`, since nothing of a node is
    seen before it is done. Agents do not tell what they cost, so a `budget` bounds nothing here.
    """
    kind = kind_of(visit, AgentTool)
    asked = kind.timeout_ms / 1000 if kind.timeout_ms else seconds_for(visit, _LONGEST_SECONDS)
    seconds = min(asked, 0.95 * NODE_SECONDS)
    try:
        turn = await _next_turn(visit, pool)
        place = await find_place(visit, pool, outbound, await _chosen(visit, pool, kind))
        text = _text(visit, kind.input_mapping) if turn.number == 0 else _reply(visit)
        answer = await _ask(visit, outbound, place, text, turn, {}, seconds)
    except (OutboundFailed, BadPolicy) as error:
        failed = error if isinstance(error, OutboundFailed) else OutboundFailed(str(error))
        told = {"failure_type": failed.kind, "message": str(failed), "retryable": failed.retryable}
        return failed.outcome([Event("agent_tool_failed", visit.node.node_id, told)])
    invoked = _invoked(visit, kind, place, text, turn)
    if answer.state == "input_required":
        if kind.mode != "conversational":
            return _asks_back(place, answer)
        return _waiting_for_reply(visit, kind, place, answer, turn, invoked)
    done = Event(
        "agent_tool_completed", visit.node.node_id, {"output": answer.value, "total_turns": turn.number + 1}
    )
    return Completed(answer.value, {kind.output_key: answer.value}, events=[*invoked, done])


async def _ask(
    visit: Visit,
    outbound: OutboundClients,
    place: AgentPlace,
    text: str,
    turn: _Turn,
    metadata: Mapping[str, str],
    seconds: float,
) -> Answer:
    """The conversation is that of the execution with this agent. The message's id stays the same when it is sent
    again, so that it can be recognised."""
    number = f":{turn.number}" if turn.number else ""
    question = AgentQuestion(
        text=text,
        message_id=f"{visit.idempotency_key}{number}",
        context_id=str(uuid5(visit.execution.execution_id, place.url)),
        task_id=turn.task_id,
        metadata=metadata,
        repeated=visit.attempt > 0 or visit.wake is not None,
    )
    agents = await outbound.agents()
    return await agents.ask(place, question, seconds)


async def _remote_agent(visit: Visit, pool: Pool, outbound: OutboundClients, name: str) -> AgentPlace:
    """One that the workflow describes; a name that it does not describe is that of a registered agent."""
    spec = visit.execution.workflow.remote_agents.get(name)
    if spec is None:
        return await find_place(visit, pool, outbound, name)
    credentials = await outbound.secrets.credentials(spec.auth, spec.url, visit.execution.tenant_id)
    return AgentPlace(name, spec.url, card_urls(spec.url, spec.agent_card_path), credentials)


async def _open_task(visit: Visit, pool: Pool) -> str | None:
    """The task about which the agent has asked back when the node was last run."""
    node_id = visit.node.node_id
    async with connection(pool) as conn:
        outputs = await store.list_outputs(conn, visit.execution.execution_id, [node_id])
    last = outputs.get(node_id)
    if not isinstance(last, dict) or last.get("status") != "input_required":
        return None
    task_id = last.get("task_id")
    return task_id if isinstance(task_id, str) else None


async def _next_turn(visit: Visit, pool: Pool) -> _Turn:
    if visit.wake is None:
        return _Turn()
    if visit.wake["kind"] != "event":
        raise OutboundFailed("nobody answered the agent in time", kind="timeout")
    async with connection(pool) as conn:
        asked = await store.find_last_event(
            conn, visit.execution.execution_id, "interrupt_raised", [visit.node.node_id]
        )
    assert asked is not None, "the node waits for an answer to what it has raised"
    return _Turn(asked.data["turn"] + 1, asked.data["task_id"])


def _reply(visit: Visit) -> str:
    assert visit.wake is not None
    payload = visit.wake["payload"]
    said = payload.get("text", payload) if isinstance(payload, Mapping) else payload
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


async def _chosen(visit: Visit, pool: Pool, kind: AgentTool) -> str:
    """The id or URI of the agent; of all that may be asked, the first one that is alive."""
    if kind.explicit is not None:
        named = resolve(kind.explicit, visit.scope, visit.budget)
        if not isinstance(named, str) or not named:
            raise OutboundFailed(f"there is no agent in {kind.explicit}")
        return named
    policies = await load_policies(visit, pool)
    async for candidate in list_candidates(visit, pool, Selection(status="active", alive=True, protocol="a2a")):
        names = (candidate.agent_id, candidate.uri)
        if all(tool_verdict(policies, name).decision == "allowed" for name in names):
            return candidate.agent_id
    raise OutboundFailed("no agent is alive that could be asked", retryable=True, kind="io_error")


def _text(visit: Visit, mapping: Mapping[str, Any]) -> str:
    """What the agent is told: the mapping's `text`, or its only value, when that is text; else all of it as JSON.
    Without a mapping it is told the state."""
    given = resolve(mapping, visit.scope, visit.budget) if mapping else dict(visit.state)
    if isinstance(given.get("text"), str) and given["text"].strip():
        return str(given["text"])
    values = list(given.values())
    if mapping and len(values) == 1 and isinstance(values[0], str) and values[0].strip():
        return values[0]
    return json.dumps(given, ensure_ascii=False, default=str)


def _asks_back(place: AgentPlace, answer: Answer) -> Failed:
    return Failed(f"{place.name} wants to know more: {_summary(answer.value)}")


def _waiting_for_reply(
    visit: Visit, kind: AgentTool, place: AgentPlace, answer: Answer, turn: _Turn, events: list[Event]
) -> Outcome:
    most = kind.conversational.max_turns or _MOST_TURNS
    if turn.number + 1 >= most:
        return Failed(f"{place.name} still wants to know more after {most} turns", events=events)
    raised = Event(
        "interrupt_raised",
        visit.node.node_id,
        {
            "kind": "agent_question",
            "description": _summary(answer.value),
            "task_id": answer.task_id,
            "turn": turn.number,
        },
    )
    question = {
        "agent_id": place.name,
        "task_id": answer.task_id,
        "asked": {"text": _summary(answer.value), "data": [] if isinstance(answer.value, str) else [answer.value]},
    }
    return Parked("event", {"question": question}, visit.node.node_id, events=[*events, raised])


def _called(visit: Visit, place: AgentPlace) -> Event:
    return Event("tool_call_completed", visit.node.node_id, {"tool": place.name, "kind": "a2a"})


def _invoked(visit: Visit, kind: AgentTool, place: AgentPlace, text: str, turn: _Turn) -> list[Event]:
    if turn.number:
        told = {"turn_number": turn.number, "direction": "outbound", "content_summary": _summary(text)}
        return [Event("agent_tool_turn", visit.node.node_id, told)]
    told = {
        "agent_uri": place.url,
        "mode": kind.mode,
        "protocol": "a2a",
        "input_hash": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16],
    }
    return [Event("agent_tool_invoked", visit.node.node_id, told)]


def _summary(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SUMMARY else f"{text[: _SUMMARY - 1]}…"
