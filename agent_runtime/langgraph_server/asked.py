"""From a run's request body to the turn that it becomes. Everything here is pure."""

import json
from typing import Any
from uuid import uuid4

from langchain_core.messages import HumanMessage

from agent_runtime.errors import InvalidValue
from agent_runtime.langgraph_server.assistants import Assistant
from agent_runtime.langgraph_server.models import Json, RunConfig, RunCreate
from agent_runtime.langgraph_server.runs import RunRequest
from agent_runtime.turns.graph_call import GraphCall

_LONGEST_TEXT = 10_000
_OURS = ("thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "agent_id")
_OURS_BEGIN = ("langgraph_auth_", "__pregel_")


def run_request(
    body: RunCreate,
    assistant: Assistant,
    *,
    thread_id: str | None,
    caller: str,
    only_result: bool = False,
) -> RunRequest:
    """Return the turn that a run becomes; without a thread it gets one of its own. Raises `InvalidValue`."""
    config = body.config or RunConfig()
    if config.configurable and body.context:
        raise InvalidValue("context", "give either context or config.configurable, not both")
    metadata = {**config.metadata, **(body.metadata or {})}
    names = {"graph_id": assistant.graph_id, "assistant_id": assistant.assistant_id}
    command = body.command.model_dump(exclude_none=True) if body.command is not None else None
    call = GraphCall(
        input=body.input,
        command=command,
        configurable=_theirs(config.configurable),
        metadata={**metadata, **names},
        tags=config.tags,
        recursion_limit=config.recursion_limit,
        context=body.context,
        checkpoint=_checkpoint(body),
        interrupt_before=body.interrupt_before or (),
        interrupt_after=body.interrupt_after or (),
        stream_modes=["values"] if only_result else body.modes,
        subgraphs=body.stream_subgraphs,
        only_result=only_result,
        durability=body.durability or ("exit" if body.checkpoint_during is False else None),
    )
    is_temporary = thread_id is None and body.on_completion != "keep"
    return RunRequest(
        thread_id or str(uuid4()),
        str(uuid4()),
        caller,
        str(uuid4()),
        HumanMessage(said_in(body.input, command)),
        metadata=body.context or config.configurable,
        call=call,
        graph_id=assistant.graph_id,
        assistant_id=assistant.assistant_id,
        run_metadata={"created_by": "system", **metadata, **names},
        asked=_asked(body, call, is_temporary),
        strategy=body.multitask_strategy or "enqueue",
        must_exist=thread_id is not None and body.if_not_exists != "create",
        after_seconds=body.after_seconds or 0,
        is_temporary=is_temporary,
        webhook=body.webhook,
    )


def said_in(given: Any, command: Json | None) -> str:
    """Return what a run says, for those who read of it as of a task: the last human message, or else all of it."""
    messages = given.get("messages") if isinstance(given, dict) and command is None else None
    for message in reversed(messages if isinstance(messages, list) else [messages] if messages else []):
        if isinstance(message, str):
            return message
        if isinstance(message, dict) and message.get("role", message.get("type")) in ("user", "human"):
            return str(HumanMessage(content=_content(message.get("content"))).text)
    return json.dumps(given if command is None else command, ensure_ascii=False)[:_LONGEST_TEXT]


def _content(content: Any) -> Any:
    is_blocks = isinstance(content, list) and all(isinstance(block, str | dict) for block in content)
    return content if is_blocks or isinstance(content, str) else json.dumps(content)


def _theirs(configurable: Json) -> Json:
    """What a client may put into the graph's config: not where the run is, nor who calls."""
    return {
        key: value for key, value in configurable.items() if key not in _OURS and not key.startswith(_OURS_BEGIN)
    }


def _checkpoint(body: RunCreate) -> Json | None:
    named = body.checkpoint.model_dump(exclude_none=True) if body.checkpoint is not None else {}
    if body.checkpoint_id is not None:
        named["checkpoint_id"] = body.checkpoint_id
    return {"checkpoint_ns": "", **named} if named.get("checkpoint_id") else None


def _asked(body: RunCreate, call: GraphCall, is_temporary: bool) -> Json:
    return {
        "input": body.input,
        "command": call.command,
        "config": {
            "tags": call.tags,
            "configurable": call.configurable,
            "metadata": call.metadata,
            "recursion_limit": call.recursion_limit,
        },
        "context": call.context,
        "stream_mode": body.modes,
        "interrupt_before": body.interrupt_before,
        "interrupt_after": body.interrupt_after,
        "webhook": body.webhook,
        "feedback_keys": body.feedback_keys,
        "temporary": is_temporary,
        "subgraphs": body.stream_subgraphs,
        "resumable": body.stream_resumable,
        "durability": call.durability,
    }
