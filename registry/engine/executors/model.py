"""Nodes that ask a model: a turn of an agent's loop, a step of a strategy, or a prompt of the workflow's own."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from groundwork.postgres.pool import Pool
from registry.engine import policies as rules
from registry.engine.executors.policy import load_policies
from registry.engine.mapping import render
from registry.engine.policies import BadPolicy, Policies
from registry.engine.visits import Visit, kind_of
from registry.executions.events import Completed, Failed, Outcome
from registry.outbound.model_calls import (
    BadMessages,
    Message,
    ModelAnswer,
    ModelCallFailed,
    ModelRequest,
    read_messages,
    read_tools,
    system,
    user,
)
from registry.outbound.models import Models
from registry.workflows.kinds import Model

FEEDBACK = "eval_feedback"
"""The key of the state with what an evaluation found wanting; `FEEDBACK_FOR` has the node that is to do better."""
FEEDBACK_FOR = "eval_feedback_for"

_FILE = re.compile(r"[^\s{}]+\.(?:md|txt|jinja2?|j2|prompt)")
_FENCED = re.compile(r"```[\w-]*\s*\n(.*?)\n?\s*```", re.DOTALL)


async def model(visit: Visit, pool: Pool, models: Models) -> Outcome:
    """The answer's text goes to `last_model_output`, and to the key that the node names: as what it says, when it
    is JSON."""
    kind = kind_of(visit, Model)
    try:
        policies = await load_policies(visit, pool)
        messages = _messages(visit, kind)
    except (BadPolicy, BadMessages) as error:
        return Failed(str(error))
    model_id = rules.model_id(visit.execution.workflow, kind.model_ref)
    verdict = rules.model_allowed(policies, model_id)
    if verdict.decision == "blocked":
        return Failed(verdict.reason, events=[rules.violation_event(visit.node.node_id, verdict)])
    request = request_for(visit, kind.model_ref, messages, _offered(kind.tools, policies))
    try:
        answer = await models.complete(request)
    except ModelCallFailed as error:
        return error.outcome()
    return _completed(kind, answer)


def request_for(
    visit: Visit, model_ref: str, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
) -> ModelRequest:
    """With what the workflow says of the model."""
    workflow = visit.execution.workflow
    spec = workflow.models.get(model_ref)
    return ModelRequest(
        model=rules.model_id(workflow, model_ref),
        messages=messages,
        tools=tools,
        temperature=spec.temperature if spec else None,
        max_tokens=spec.max_tokens if spec else None,
        timeout_seconds=spec.timeout_secs if spec else None,
    )


def _messages(visit: Visit, kind: Model) -> list[Message]:
    """Raises `BadMessages`."""
    said = _conversation(visit, kind)
    instructions = render(kind.system_prompt, visit.scope, visit.budget)
    # An agent's loop has its instructions at the head of the conversation already.
    if instructions.strip() and system(instructions) not in said:
        said = [system(instructions), *said]
    feedback = visit.state.get(FEEDBACK)
    if visit.state.get(FEEDBACK_FOR) == visit.node.node_id and feedback and FEEDBACK not in kind.prompt_ref:
        said = [*said, user(str(feedback))]
    return said


def _conversation(visit: Visit, kind: Model) -> list[Message]:
    """The node's prompt; without one the conversation in the state."""
    prompt = kind.prompt_ref.strip()
    is_file = _FILE.fullmatch(prompt) is not None
    if prompt and not is_file:
        return [user(render(kind.prompt_ref, visit.scope, visit.budget))]
    given = visit.state.get("messages")
    if given:
        try:
            return read_messages(given)
        except BadMessages as error:
            raise BadMessages(f"state.messages are no messages: {error}") from None
    if is_file:
        # JamJet's compilers name a file where no prompt was written; files do not come with a workflow.
        raise BadMessages(
            f"prompt_ref {prompt} names a file, which no workflow brings with it; write the prompt itself, or have"
            " state.messages"
        )
    raise BadMessages("there is no prompt, and nothing in state.messages")


def _offered(tools: Sequence[Mapping[str, Any]], policies: Policies) -> list[dict[str, Any]]:
    """The tools that the model may ask for: not those that are blocked anyway."""
    return [
        tool
        for tool in read_tools(tools)
        if rules.tool_verdict(policies, str(tool["function"].get("name"))).decision != "blocked"
    ]


def _completed(kind: Model, answer: ModelAnswer) -> Completed:
    calls = [asdict(call) for call in answer.tool_calls]
    patch: dict[str, Any] = {
        "last_model_output": answer.content,
        "last_model_finish_reason": answer.finish_reason,
        "last_model_tool_calls": calls,
    }
    if kind.output_key is not None:
        patch[kind.output_key] = decode(answer.content)
    output = {
        "content": answer.content,
        "model": answer.model,
        "finish_reason": answer.finish_reason,
        "tool_calls": calls,
    }
    return Completed(output=output, patch=patch, usage=answer.usage)


def decode(text: str) -> Any:
    """What the text says, when it is JSON, in a fence or not; else the text."""
    fenced = _FENCED.fullmatch(text.strip())
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
