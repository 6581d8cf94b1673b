"""Telling an agent what was decided about its question, by its admin API."""

import json
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from groundwork.http.json_body import BadJson, parse_json, to_json
from registry.access import Principal
from registry.errors import AgentAway, AgentUnreachable
from registry.gateway.calls import AdminCall
from registry.gateway.service import Gateway
from registry.questions.models import Question

_LONGEST_ANSWER = 256 * 1024


@dataclass(frozen=True)
class Delivered:
    """What the agent has made of it: it has `taken` the answer; it does not take such a one, and waits on; or it
    had `moved` on before, and says with whose answer, if it knows."""

    outcome: Literal["taken", "refused", "moved"]
    problem: str = ""
    decided_by: str | None = None


async def deliver(gateway: Gateway, principal: Principal, question: Question) -> Delivered:
    """Send the decision to the agent, which takes one answer to a question, however often it is told.

    Raises `AgentAway` when nothing can have become of it, and what `Gateway.send` raises.
    """
    assert question.agent_id is not None, "the question is an agent's"
    assert question.task_id is not None, "the question is an agent's"
    call = AdminCall(
        "POST",
        f"decisions/{quote(question.task_id, safe='')}",
        headers={"content-type": "application/json", "accept": "application/json"},
        body=to_json({**(question.decision or {}), "digest": question.digest}),
    )
    answer = await gateway.send(principal, question.agent_id, call)
    try:
        said = _read(question.agent_id, await answer.read(_LONGEST_ANSWER))
    finally:
        await answer.aclose()
    return _understood(question.agent_id, answer.status, said)


def _understood(agent_id: str, status: int, said: dict[str, Any]) -> Delivered:
    error = said.get("error")
    problem = str(error.get("message", "")) if isinstance(error, dict) else ""
    if status == 200:
        return Delivered("taken")
    if status in (404, 409) and isinstance(error, dict):
        decided_by = error.get("decided_by")
        return Delivered("moved", problem, decided_by if isinstance(decided_by, str) else None)
    if status in (400, 403, 413, 422):
        return Delivered("refused", problem)
    if status in (429, 503):
        raise AgentAway(f"agent {agent_id} cannot take the answer now: {problem}")
    raise AgentUnreachable(f"agent {agent_id} answered {status}: {problem}")


def _read(agent_id: str, body: bytes) -> dict[str, Any]:
    try:
        said = parse_json(body)
    except BadJson as error:
        raise AgentUnreachable(f"the answer of agent {agent_id} cannot be read: {error}") from error
    if not isinstance(said, dict):
        raise AgentUnreachable(f"the answer of agent {agent_id} cannot be read: {json.dumps(said)[:100]}")
    return said
