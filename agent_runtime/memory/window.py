"""Which part of a conversation the model is given. Pure functions; nothing is ever dropped from the thread."""

from collections.abc import Iterator, Sequence
from itertools import chain

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

SUMMARY_HEADING = "Summary of the earlier conversation:"


def window(messages: Sequence[BaseMessage], size: int) -> list[BaseMessage]:
    """The last `size` messages that can be given to a model.

    It starts at a human or a system message, and a tool call stands in it only together with all its results,
    which follow it at once: providers refuse anything else. Calls that were not answered, and results whose call
    is not there, are left out for good.

    The most recent human message is always there. When the turn it began has grown longer than the window, it
    comes first, followed by as many of the newest messages as there is room for, at least the last one, with its
    tool results.
    """
    return [messages[index] for index in _chosen(messages, size)]


def window_start(messages: Sequence[BaseMessage], size: int) -> int:
    """How many messages are older than the window; 0 when there is nothing a window could start at."""
    return next(iter(_chosen(messages, size)), 0)


def build_prompt(
    system: str, summary: str | None, messages: Sequence[BaseMessage], size: int
) -> list[BaseMessage]:
    """One system message (the system prompt, what system messages the window holds, the summary under a heading
    of its own), then the rest of the window.

    There is one because some providers take no second one, and none after the first message. Of a system message
    in the window, its text is kept.
    """
    shown = window(messages, size)
    parts = [system, *(message.text for message in shown if isinstance(message, SystemMessage))]
    if summary:
        parts.append(f"{SUMMARY_HEADING}\n{summary}")
    opening = "\n\n".join(part for part in parts if part.strip())
    rest = [message for message in shown if not isinstance(message, SystemMessage)]
    return [SystemMessage(opening), *rest] if opening else rest


def split_groups(messages: Sequence[BaseMessage], first: int = 0) -> list[range]:
    """The indices of messages that belong together, from the `first` on, which must not be a result: one message,
    or a tool call and the results behind it."""
    groups: list[range] = []
    start = first
    for index in range(first + 1, len(messages) + 1):
        if index < len(messages) and isinstance(messages[index], ToolMessage) and _calls(messages[start]):
            continue
        groups.append(range(start, index))
        start = index
    return groups


def _chosen(messages: Sequence[BaseMessage], size: int) -> list[int]:
    """Of a long conversation only as much of the end is looked at as the choice depends on."""
    for first in _starts(messages, size):
        groups = [kept for group in split_groups(messages, first) if (kept := _complete(messages, group))]
        asked = next(
            (index for (index, *_) in reversed(groups) if isinstance(messages[index], HumanMessage)), None
        )
        if first == 0 or (asked is not None and sum(map(len, groups)) >= size):
            return _chosen_of(messages, groups, asked, size)
    return []


def _starts(messages: Sequence[BaseMessage], size: int) -> Iterator[int]:
    """Where to begin looking: at the beginning of a group, farther and farther from the end."""
    length = 2 * size + 10
    while (first := len(messages) - length) > 0:
        while first > 0 and isinstance(messages[first], ToolMessage):
            first -= 1
        yield first
        length *= 4
    yield 0


def _chosen_of(
    messages: Sequence[BaseMessage], groups: Sequence[list[int]], asked: int | None, size: int
) -> list[int]:
    newest = _newest_that_fit(groups, size)
    if asked is None or [asked] in newest:
        while newest and not isinstance(messages[newest[0][0]], HumanMessage | SystemMessage):
            newest.pop(0)
        return list(chain.from_iterable(newest))
    later = [group for group in groups if group[0] > asked]
    return [asked, *chain.from_iterable(_newest_that_fit(later, size - 1) or later[-1:])]


def _newest_that_fit(groups: Sequence[list[int]], size: int) -> list[list[int]]:
    room = size
    for count, group in enumerate(reversed(groups)):
        room -= len(group)
        if room < 0:
            return list(groups[len(groups) - count :])
    return list(groups)


def _complete(messages: Sequence[BaseMessage], group: range) -> list[int]:
    """The indices of a group without stray results; empty when the group cannot be shown."""
    first, *rest = group
    missing = _calls(messages[first])
    if not missing:
        return [] if isinstance(messages[first], ToolMessage) else [first]
    kept = [first]
    for index in rest:
        result = messages[index]
        if isinstance(result, ToolMessage) and result.tool_call_id in missing:
            missing.remove(result.tool_call_id)
            kept.append(index)
    return [] if missing else kept


def _calls(message: BaseMessage) -> set[str | None]:
    """The calls that must be answered. Those with unreadable arguments count: providers are sent them too."""
    if not isinstance(message, AIMessage):
        return set()
    return {call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)}
