"""Tool calls that a turn has left without a result."""

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.types import StateSnapshot

from agent_runtime.turns.final import conversation_of

NO_RESULT = (
    "No result: the turn that made this call was cancelled, or ended early."
    " Whether the call was carried out is not known."
)


def close_open_calls(state: StateSnapshot) -> list[ToolMessage]:
    """Return the results that the next message has to bring along, because a provider refuses a conversation
    in which a tool call has none.

    Results of calls that were made before the turn ended are in no checkpoint yet: a new message would discard
    them, and the model could make the call again.
    """
    made = {message.tool_call_id: message for task in state.tasks for message in _results_in(task.result)}
    calls, answered = _last_calls(conversation_of(state.values))
    closing: list[ToolMessage] = []
    for call_id, name in calls.items():
        if call_id in made:
            closing.append(made[call_id])
        elif call_id not in answered:
            closing.append(ToolMessage(NO_RESULT, tool_call_id=call_id, name=name, status="error"))
    return closing


def _last_calls(messages: Sequence[BaseMessage]) -> tuple[dict[str, str | None], set[str]]:
    """The calls of the last message of the model, with their names, and those of them that have a result."""
    answered: set[str] = set()
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            answered.add(message.tool_call_id)
        elif isinstance(message, AIMessage):
            # Those with unreadable arguments count: providers are sent them too.
            calls = (*message.tool_calls, *message.invalid_tool_calls)
            return {call["id"]: call["name"] for call in calls if call["id"]}, answered
        else:
            break
    return {}, answered


def _results_in(value: Any) -> Iterator[ToolMessage]:
    """The tool messages in what a finished task has written."""
    if isinstance(value, ToolMessage):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _results_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _results_in(item)
