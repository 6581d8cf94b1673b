"""Every call and every result is reported once, however the messages of a graph change."""

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from agent_runtime.graph.outputs import Output, ToolAnswered, ToolCalled
from agent_runtime.turns.answer import ToolLog


def calls(number: str) -> AIMessage:
    return AIMessage("", id=f"call-{number}", tool_calls=[{"name": "add", "args": {}, "id": number}])


def answers(number: str) -> ToolMessage:
    return ToolMessage("5", id=f"result-{number}", tool_call_id=number)


def reported(*states: list[AnyMessage]) -> list[str]:
    """What a log tells of the states of one graph, one after the other."""
    log = ToolLog()
    outputs: list[Output] = [output for state in states for output in log.read((), {"messages": state})]
    return [
        f"{'called' if isinstance(output, ToolCalled) else 'answered'} {output.call_id}"
        for output in outputs
        if isinstance(output, ToolCalled | ToolAnswered)
    ]


BEFORE: list[AnyMessage] = [HumanMessage("hello", id="h"), calls("old"), answers("old")]


def test_what_was_there_before_is_not_reported() -> None:
    assert reported(BEFORE, BEFORE) == []


def test_what_is_added_is_reported_once() -> None:
    called = [*BEFORE, calls("1")]
    assert reported(BEFORE, called, [*called, answers("1")], [*called, answers("1")]) == ["called 1", "answered 1"]


def test_a_state_that_is_changed_in_place_is_followed() -> None:
    log, state = ToolLog(), list(BEFORE)
    log.read((), {"messages": state})
    state.append(calls("1"))
    assert len(log.read((), {"messages": state})) == 1


def test_messages_that_are_removed_or_read_anew_do_not_make_old_calls_new() -> None:
    copies = [message.model_copy() for message in BEFORE]
    called = [*copies[1:], calls("1")]
    assert reported(BEFORE, copies, called, called[-2:], [*called, calls("2")]) == ["called 1", "called 2"]


def test_a_conversation_that_begins_with_the_run_is_reported_whole() -> None:
    assert reported([], [calls("1")], [calls("1"), answers("1")]) == ["called 1", "answered 1"]
