"""Whatever the history and the size, the window is something that every provider takes."""

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agent_runtime.memory.window import SUMMARY_HEADING, build_prompt, split_groups, window, window_start


def asks(*call_ids: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": call_id} for call_id in call_ids])


def result(call_id: str) -> ToolMessage:
    return ToolMessage(f"result of {call_id}", tool_call_id=call_id)


def broken_call(call_id: str) -> AIMessage:
    return AIMessage("", invalid_tool_calls=[{"name": "add", "args": "{", "id": call_id, "error": None}])


CALL_IDS = st.sampled_from("abc")
MESSAGES = st.one_of(
    st.builds(HumanMessage, st.just("human")),
    st.builds(AIMessage, st.just("ai")),
    st.builds(SystemMessage, st.just("system")),
    st.lists(CALL_IDS, min_size=1, max_size=3, unique=True).map(lambda ids: asks(*ids)),
    st.builds(result, CALL_IDS),
    st.builds(broken_call, CALL_IDS),
)
ANSWERED_CALLS = st.lists(CALL_IDS, min_size=1, max_size=3, unique=True).map(
    lambda ids: [asks(*ids), *(result(call_id) for call_id in ids)]
)
HISTORIES = st.lists(st.one_of(MESSAGES.map(lambda message: [message]), ANSWERED_CALLS), max_size=25).map(
    lambda parts: [message.model_copy() for part in parts for message in part]
)
SIZES = st.integers(1, 30)


def open_calls(messages: list[BaseMessage]) -> None:
    """Fails where a provider would: a call not followed at once by all its results, or a result without a call."""
    waiting: set[str | None] = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            assert message.tool_call_id in waiting
            waiting.remove(message.tool_call_id)
            continue
        assert not waiting
        if isinstance(message, AIMessage):
            waiting = {call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)}
    assert not waiting


@given(HISTORIES, SIZES)
def test_every_tool_result_follows_its_call_and_every_call_has_its_results(messages, size):
    open_calls(window(messages, size))


@given(HISTORIES, SIZES)
def test_a_window_starts_at_a_human_or_system_message(messages, size):
    assert all(isinstance(message, HumanMessage | SystemMessage) for message in window(messages, size)[:1])


@given(HISTORIES, SIZES)
def test_the_most_recent_human_message_is_always_there(messages, size):
    humans = [message for message in messages if isinstance(message, HumanMessage)]
    shown = [message for message in window(messages, size) if isinstance(message, HumanMessage)]
    assert not humans or shown[-1] is humans[-1]


@given(HISTORIES, SIZES)
def test_a_window_is_made_of_the_messages_there_are_in_their_order(messages, size):
    places = {id(message): place for place, message in enumerate(messages)}
    shown = [places[id(message)] for message in window(messages, size)]
    assert shown == sorted(set(shown))


@given(HISTORIES, SIZES)
def test_a_window_is_no_longer_than_its_size_unless_the_last_answer_is(messages, size):
    shown = window(messages, size)
    last_group = split_groups(shown)[-1] if shown else ()
    assert len(shown) <= max(size, 1 + len(last_group))


@given(HISTORIES, SIZES)
def test_what_is_older_than_the_window_ends_before_it_and_splits_no_group(messages, size):
    older = window_start(messages, size)
    assert not window(messages, size) or messages[older] is window(messages, size)[0]
    assert all(older <= group.start or older >= group.stop for group in split_groups(messages))


@given(HISTORIES, SIZES)
def test_what_was_said_long_before_makes_no_difference_to_a_full_window(messages, size):
    shown = window(messages, size)
    if len(shown) >= size and any(isinstance(message, HumanMessage) for message in messages):
        long_before = [HumanMessage("hello"), AIMessage("hello")] * 100
        assert window([*long_before, *messages], size) == shown
        assert window_start([*long_before, *messages], size) == window_start(messages, size) + len(long_before)


@given(HISTORIES, SIZES, st.sampled_from(["", "Be kind."]), st.sampled_from([None, "", "They like tea."]))
def test_a_prompt_has_one_system_message_at_most_and_it_comes_first(messages, size, system, summary):
    prompt = build_prompt(system, summary, messages, size)
    assert not any(isinstance(message, SystemMessage) for message in prompt[1:])
    assert all(message.text for message in prompt[:1] if isinstance(message, SystemMessage))
    open_calls(prompt)


def test_a_short_conversation_is_shown_whole():
    messages = [HumanMessage("1"), AIMessage("2"), HumanMessage("3"), AIMessage("4")]
    assert window(messages, 4) == messages


def test_a_long_conversation_is_cut_at_a_human_message():
    messages = [message for number in range(10) for message in (HumanMessage(str(number)), AIMessage(str(number)))]
    assert [message.text for message in window(messages, 5)] == ["8", "8", "9", "9"]


def test_a_tool_loop_longer_than_the_window_keeps_its_question_and_the_newest_results():
    loop = []
    for number in range(10):
        loop += [asks(str(number)), result(str(number))]
    messages = [HumanMessage("old"), AIMessage("old"), HumanMessage("count to ten"), *loop]
    assert window(messages, 6) == [messages[2], *loop[-4:]]
    assert window(messages, 1) == [messages[2], *loop[-2:]]


def test_a_call_that_was_never_answered_is_left_out_with_the_results_it_has():
    messages = [HumanMessage("1"), asks("a", "b"), result("a"), HumanMessage("2")]
    assert window(messages, 10) == [messages[0], messages[3]]


def test_call_ids_that_come_again_in_later_turns_are_told_apart():
    messages = [HumanMessage("1"), asks("a"), HumanMessage("2"), asks("a"), result("a"), result("a")]
    assert window(messages, 10) == [messages[0], messages[2], messages[3], messages[4]]


def test_a_conversation_without_a_human_has_a_window_only_from_a_system_message_on():
    assert window([AIMessage("1")], 5) == []
    assert [message.text for message in window([AIMessage("1"), SystemMessage("2"), AIMessage("3")], 5)] == [
        "2",
        "3",
    ]


def test_the_prompt_opens_with_the_system_prompt_then_system_messages_then_the_summary():
    messages = [HumanMessage("hi"), SystemMessage("The user pays."), AIMessage("hello")]
    opening, *rest = build_prompt("Be kind.", "They like tea.", messages, 10)
    assert opening.text == f"Be kind.\n\nThe user pays.\n\n{SUMMARY_HEADING}\nThey like tea."
    assert [message.text for message in rest] == ["hi", "hello"]


def test_a_prompt_of_nothing_but_messages_has_no_system_message():
    assert build_prompt("", None, [HumanMessage("hi")], 10) == [HumanMessage("hi")]
