"""What can be read of a conversation: all of it, by its owner only, whoever wrote it and however."""

import json
from operator import add
from typing import Annotated, Any, ClassVar, TypedDict

import pytest
from langchain_core.load import dumpd
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt

from agent_runtime.errors import InvalidValue, ThreadNotFound, ThreadNotOurs, ThreadUnreadable
from agent_runtime.threads.messages import describe_message
from groundwork.postgres.pool import Pool

TOOL_CALL = {"name": "add", "args": {"a": 1}, "id": "call-1", "type": "tool_call"}


class ShoutedMessage(HumanMessage):
    """An application's own kind of message."""

    built: ClassVar[int] = 0

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        type(self).built += 1


def append_all(state: list[BaseMessage], writes: list[list[BaseMessage]]) -> list[BaseMessage]:
    """A reducer for a delta channel, made of LangGraph's own for messages."""
    for write in writes:
        state = add_messages(state, write)  # type: ignore[arg-type, assignment]  # a list of messages for its list
    return state


async def save(pool: Pool, state: type, thread_id: str, *turns: list[Any]) -> None:
    """Writes each of `turns` to the thread as the answer of a node, with the stock saver."""

    answers = iter(turns)

    async def answer(_state):
        return {"messages": next(answers)}

    builder: StateGraph[Any] = StateGraph(state)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    graph = builder.compile(checkpointer=AsyncPostgresSaver(pool))
    for _ in turns:
        await graph.ainvoke({"messages": []}, {"configurable": {"thread_id": thread_id}})


async def read(threads, thread_id: str, **page) -> list[tuple[str, object]]:
    shown = [describe_message(message) for message in (await threads.get_messages(thread_id, **page)).messages]
    return [(message["role"], message["content"]) for message in shown]


async def test_the_whole_conversation_is_shown_in_order(threads, talk):
    await threads.claim("t")
    await talk("t", "one", "two")
    assert await read(threads, "t") == [
        ("human", "one"),
        ("ai", "You said one"),
        ("human", "two"),
        ("ai", "You said two"),
    ]


async def test_a_thread_without_a_checkpoint_has_no_messages(threads):
    await threads.claim("t")
    assert await read(threads, "t") == []


async def test_a_thread_that_nobody_knows_is_not_found(threads):
    with pytest.raises(ThreadNotFound):
        await threads.get_messages("nobody's")


async def test_a_thread_of_another_agent_is_refused(threads, others, talk):
    await others.claim("theirs")
    await talk("theirs")
    with pytest.raises(ThreadNotOurs):
        await threads.get_messages("theirs")


async def test_a_thread_of_another_program_is_not_found(threads, talk):
    await talk("stray")
    with pytest.raises(ThreadNotFound):
        await threads.get_messages("stray")


async def test_what_cannot_be_a_thread_id_is_said_to_be_none(threads):
    for thread_id in ("", "a\x00b", "x" * 256, "\ud800"):
        for call in (threads.get_messages, threads.delete_thread, threads.claim):
            with pytest.raises(InvalidValue):
                await call(thread_id)


async def test_pages_go_backwards_until_there_is_nothing_before(threads, talk):
    await threads.claim("t")
    await talk("t", "one", "two", "three")
    whole, pages, before = await read(threads, "t"), [], None
    while True:
        page = await threads.get_messages("t", limit=4, before=before)
        pages.append([(message.type, message.text) for message in page.messages])
        if (before := page.next_before) is None:
            break
    assert pages == [whole[2:], whole[:2]]


async def test_a_page_before_the_first_message_is_empty(threads, talk):
    await threads.claim("t")
    await talk("t")
    page = await threads.get_messages("t", limit=1, before=0)
    assert (page.messages, page.next_before) == ([], None)


async def test_pages_that_make_no_sense_are_refused(threads):
    for field, value in (("limit", 0), ("limit", -1), ("before", -1)):
        with pytest.raises(InvalidValue) as caught:
            await threads.get_messages("t", **{field: value})
        assert caught.value.field == field


async def test_a_nul_character_survives(threads, talk):
    await threads.claim("t")
    await talk("t", "a\x00b")
    assert (await read(threads, "t"))[0] == ("human", "a\x00b")


async def test_what_a_subgraph_keeps_to_itself_is_not_shown(threads, pool):
    class Inner(TypedDict):
        messages: Annotated[list[Any], add_messages]

    inner = StateGraph(Inner)
    inner.add_node("think", lambda state: {"messages": [AIMessage("a secret thought")]})
    inner.add_node("ask", lambda state: {"messages": [AIMessage(interrupt("go on?"))]})
    inner.add_edge(START, "think")
    inner.add_edge("think", "ask")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "inner")
    await threads.claim("t")
    graph = outer.compile(checkpointer=AsyncPostgresSaver(pool))
    await graph.ainvoke({"messages": [HumanMessage("hello")]}, {"configurable": {"thread_id": "t"}})
    assert await read(threads, "t") == [("human", "hello")]


async def test_no_class_of_an_application_is_built(threads, pool):
    await threads.claim("t")
    await save(
        pool, MessagesState, "t", [ShoutedMessage(content="HEY", id="1"), AIMessage("hm", tool_calls=[TOOL_CALL])]
    )
    ShoutedMessage.built = 0
    messages = (await threads.get_messages("t")).messages
    assert ShoutedMessage.built == 0
    assert [type(message) for message in messages] == [HumanMessage, AIMessage]
    assert messages[0].content == "HEY"
    assert messages[1].tool_calls == [TOOL_CALL]


@pytest.mark.parametrize("snapshot_frequency", [1, 3, 100])
async def test_messages_in_a_delta_channel_are_rebuilt(threads, pool, snapshot_frequency):
    class State(TypedDict):
        messages: Annotated[list[Any], DeltaChannel(append_all, snapshot_frequency=snapshot_frequency)]

    await threads.claim("t")
    await save(
        pool,
        State,
        "t",
        [HumanMessage("one", id="1"), AIMessage("won", id="2")],
        [HumanMessage("two", id="3"), AIMessage("2", id="2")],
        [RemoveMessage("1"), AIMessage("three", id="4")],
        [AIMessage("four", id="5")],
    )
    assert await read(threads, "t") == [("ai", "2"), ("human", "two"), ("ai", "three"), ("ai", "four")]


async def test_messages_without_a_reducer_of_langgraphs_are_shown(threads, pool):
    class State(TypedDict):
        messages: Annotated[list[Any], add]

    await threads.claim("t")
    await save(pool, State, "t", [{"role": "user", "content": "plain"}, ("assistant", "pair")])
    assert await read(threads, "t") == [("human", "plain"), ("ai", "pair")]


async def test_a_graph_without_messages_has_none(threads, pool):
    class State(TypedDict):
        count: int

    builder = StateGraph(State)
    builder.add_node("count", lambda state: {"count": 1})
    builder.add_edge(START, "count")
    await threads.claim("t")
    graph = builder.compile(checkpointer=AsyncPostgresSaver(pool))
    await graph.ainvoke({"count": 0}, {"configurable": {"thread_id": "t"}})
    assert await read(threads, "t") == []


async def test_messages_kept_inside_the_checkpoint_are_shown(threads, talk, conn):
    await threads.claim("t")
    await talk("t")
    stored = json.dumps([dumpd(HumanMessage("inline")), {"role": "assistant", "content": "too"}])
    await conn.execute("DELETE FROM checkpoint_blobs WHERE channel = 'messages'")
    await conn.execute(
        "UPDATE checkpoints SET checkpoint = jsonb_set(checkpoint, '{channel_values,messages}', %s::jsonb)",
        (stored,),
    )
    assert await read(threads, "t") == [("human", "inline"), ("ai", "too")]


async def test_messages_in_the_older_json_format_are_shown(threads, talk, conn):
    await threads.claim("t")
    await talk("t")
    stored = json.dumps([dumpd(HumanMessage("old")), dumpd(AIMessage("times"))]).encode()
    await conn.execute(
        "UPDATE checkpoint_blobs SET type = 'json', blob = %s WHERE channel = 'messages'", (stored,)
    )
    assert await read(threads, "t") == [("human", "old"), ("ai", "times")]


UNDECODABLE = [
    ("msgpack", b"\xc1 not msgpack"),
    ("msgpack", b"\x91\xc0"),  # [nil]: to show the conversation without it would be a lie
    ("json", b"{"),
    ("pickle", b"\x80\x04N."),
    ("msgpack+aes", b"secret"),
    ("bytes", b"\xff"),
]


async def test_a_checkpoint_that_cannot_be_decoded_is_named_and_the_others_are_shown(threads, talk, conn):
    for thread_id in ("broken", "whole"):
        await threads.claim(thread_id)
        await talk(thread_id)
    for stored in UNDECODABLE:
        await conn.execute("UPDATE checkpoint_blobs SET type = %s, blob = %s WHERE thread_id = 'broken'", stored)
        with pytest.raises(ThreadUnreadable) as caught:
            await threads.get_messages("broken")
        assert caught.value.thread_id == "broken"
    assert len(await read(threads, "whole")) == 2


async def test_a_delta_channel_that_cannot_be_decoded_is_named(threads, pool, conn):
    class State(TypedDict):
        messages: Annotated[list[Any], DeltaChannel(append_all)]

    await threads.claim("t")
    await save(pool, State, "t", [HumanMessage("one", id="1")])
    await conn.execute("UPDATE checkpoint_writes SET type = 'pickle' WHERE channel = 'messages'")
    with pytest.raises(ThreadUnreadable):
        await threads.get_messages("t")


@pytest.mark.parametrize(
    ("message", "described"),
    [
        (HumanMessage("hi", name="ada"), {"role": "human", "content": "hi", "name": "ada"}),
        (AIMessageChunk(content="hi"), {"role": "ai", "content": "hi"}),
        (SystemMessage("be"), {"role": "system", "content": "be"}),
        (AIMessage("", tool_calls=[TOOL_CALL]), {"role": "ai", "content": "", "tool_calls": [TOOL_CALL]}),
        (
            ToolMessage("2", tool_call_id="call-1", name="add"),
            {"role": "tool", "content": "2", "tool_call_id": "call-1", "name": "add"},
        ),
        (FunctionMessage(content="2", name="add"), {"role": "tool", "content": "2", "name": "add"}),
        (ChatMessage(content="hi", role="assistant"), {"role": "ai", "content": "hi"}),
        (ChatMessage(content="hi", role="critic"), {"role": "human", "content": "hi", "name": "critic"}),
        (
            HumanMessage([{"type": "text", "text": "look"}, {"type": "image", "base64": b"\x00\x01"}]),
            {"role": "human", "content": [{"type": "text", "text": "look"}, {"type": "image", "base64": "AAE="}]},
        ),
    ],
)
def test_messages_are_described_by_role_and_content(message, described):
    assert describe_message(message) == described
    json.dumps(described, allow_nan=False)
