import asyncio
import json
import time
from typing import Any, Literal

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.tools import tool
from pydantic import BaseModel, Field, ValidationError

from agent_runtime.memory.window import build_prompt
from groundwork.models.offline.answers import WHO_I_AM
from groundwork.models.offline.model import OfflineChatModel
from groundwork.models.summarizing import INSTRUCTIONS

model = OfflineChatModel()


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


class Ticket(BaseModel):
    """A support ticket."""

    title: str = Field(max_length=40)
    priority: Literal["low", "normal", "high"] = "normal"
    tags: list[str] = []
    seats: int | None = None


def answer(*messages: BaseMessage | str) -> str:
    return model.invoke([HumanMessage(m) if isinstance(m, str) else m for m in messages]).text


def summary_of(conversation: str) -> str:
    return answer(SystemMessage(INSTRUCTIONS), conversation)


def tool_calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    message = model.bind_tools([add]).invoke(text)
    return [(call["name"], call["args"]) for call in message.tool_calls]


def test_first_answer_says_that_this_is_the_offline_model():
    assert WHO_I_AM in answer("hello")
    assert WHO_I_AM not in answer("hello", AIMessage("hi"), "hello again")


def test_it_says_what_it_is_whenever_it_is_asked():
    assert WHO_I_AM in answer("hello", AIMessage("hi"), "Who are you?")


def test_it_can_be_told_what_to_say_of_itself():
    told = OfflineChatModel(introduction="I am a stand-in.").invoke("hello").text
    assert told.endswith("(I am a stand-in.)")
    assert WHO_I_AM not in told


def test_it_repeats_what_was_said_and_counts_what_it_sees():
    said = answer("one", AIMessage("…"), "two", AIMessage("…"), "three")
    assert said == 'You said: "three". I can see 3 of your messages.'


def test_the_same_prompt_gives_the_same_text():
    assert answer("good morning") == answer("good morning")


def test_a_name_is_recalled_from_the_messages_it_is_given():
    conversation = ("my name is Ada and I live in Turin", AIMessage("Noted."), "what is my name?")
    assert answer(*conversation) == "Your name is Ada."
    assert answer(AIMessage("Noted."), "what is my name?").startswith("You have not told me your name")


def test_what_was_told_last_holds():
    noted = AIMessage("Noted.")
    conversation = ("my e-mail is a@b.it.", noted, "my e-mail is c@d.it!", noted)
    assert answer(*conversation, "what's my e-mail?") == "Your e-mail is c@d.it."
    assert answer(*conversation, "What do you remember?") == "I remember: your e-mail is c@d.it."


def test_a_name_is_recalled_from_a_summary():
    summary = summary_of("human: my name is Bo\nai: Noted.\nhuman: My name is Zoë, sorry.\nai: Noted.")
    prompt = build_prompt("Be kind.", summary, [HumanMessage("do you know my name?")], 20)
    assert answer(*prompt).startswith("Your name is Zoë.")


def test_a_summary_carries_the_one_before_it_on():
    before = summary_of("human: my name is Ada\nai: Noted.\nhuman: my hat is red")
    after = summary_of(
        f"Summary of what came before, to be continued:\n{before}\n\nConversation:\nhuman: my hat is blue"
    )
    assert "my name is Ada." in after
    assert after.endswith("my hat is blue.")


def test_a_summary_keeps_the_facts_and_stays_short():
    chatter = ["human: la " + "la " * 500] * 100
    summary = summary_of("\n".join([*chatter, "human: my dog is Rex", *chatter]))
    assert "my dog is Rex." in summary
    assert len(summary) < 2100


def test_count_makes_as_many_tokens_as_asked_for():
    chunks = [chunk.text for chunk in model.stream("please count to 2000")]
    assert "".join(chunks).startswith("1 2 3 ")
    assert len([chunk for chunk in chunks if chunk.strip()]) >= 2000


async def test_streamed_words_add_up_to_the_whole_answer():
    chunks = [chunk.text async for chunk in model.astream("good morning,\n\nworld ")]
    assert len(chunks) > 5
    assert "".join(chunks) == (await model.ainvoke("good morning,\n\nworld ")).text


async def test_delay_is_waited_before_each_token_without_blocking_others():
    slow = OfflineChatModel(delay_seconds=0.01)
    began = time.monotonic()
    await asyncio.gather(*(slow.ainvoke("count to 10") for _ in range(20)))
    assert 0.1 <= time.monotonic() - began < 1


def test_a_line_calls_a_tool():
    assert tool_calls('call add {"a": 2, "b": 3}') == [("add", {"a": 2, "b": 3})]
    assert tool_calls('/tool add {"a":2,\n "b":3} please') == [("add", {"a": 2, "b": 3})]


def test_several_lines_call_in_parallel():
    calls = tool_calls('call add {"a": 1, "b": 1}\ncall add {"a": 2, "b": 2}')
    assert [arguments["a"] for _, arguments in calls] == [1, 2]


def test_the_same_call_twice_has_two_ids():
    first, second = (model.bind_tools([add]).invoke("call add {}").tool_calls[0]["id"] for _ in range(2))
    assert first != second


async def test_tool_calls_come_through_a_stream():
    stream = model.bind_tools([add]).astream('call add {"a": 2, "b": 3}')
    whole = add_ai_message_chunks(*[chunk async for chunk in stream if isinstance(chunk, AIMessageChunk)])
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("add", {"a": 2, "b": 3})]


def test_an_unknown_tool_is_explained_with_those_that_are_bound():
    said = model.bind_tools([add]).invoke("call multiply {}").text
    assert "no tool called multiply" in said
    assert 'call add {"a": 2, "b": 2}' in said


def test_bad_arguments_are_explained():
    assert "not a JSON object" in model.bind_tools([add]).invoke("call add {a: 2}").text


def test_without_tools_a_call_is_answered_in_text():
    assert "No tools are bound" in answer("call add {}")


def test_results_of_tools_are_told_in_the_order_of_the_calls():
    asked = model.bind_tools([add]).invoke("call add {}\ncall add {}")
    ids = [call["id"] for call in asked.tool_calls]
    results = [ToolMessage("5", tool_call_id=ids[0]), ToolMessage("oh", tool_call_id=ids[1], status="error")]
    assert answer("call add {}", asked, *results) == "add answered: 5\nadd failed: oh"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("the printer is broken", Ticket(title="the printer is broken")),
        ("no light, high priority", Ticket(title="no light, high priority", priority="high")),
        ("title: Printer, priority=low", Ticket(title="Printer", priority="low")),
        ("title: Printer\ntags: a b, c; seats: 4", Ticket(title="Printer", tags=["a b", "c"], seats=4)),
        ('{"title": "Printer", "seats": 2}', Ticket(title="Printer", seats=2)),
        ("x" * 100, Ticket(title="x" * 40)),
    ],
)  # fmt: skip
def test_a_model_is_filled_from_text(said: str, expected: Ticket):
    assert model.with_structured_output(Ticket).invoke(said) == expected


@pytest.mark.parametrize("said", ["title: Printer, priority: whenever", '{"priority": "low"}', ""])
def test_what_cannot_be_filled_fails_validation(said: str):
    with pytest.raises(ValidationError):
        model.with_structured_output(Ticket).invoke(said)


def test_nested_models_and_plain_schemas_are_filled_too():
    class Order(BaseModel):
        """An order."""

        ticket: Ticket
        amount: float
        paid: bool

    schema = {"title": "order", "type": "object", **Order.model_json_schema()}
    filled = model.with_structured_output(schema).invoke("title: Printer; paid: yes; 12.5 euro")
    assert filled == {"ticket": {"title": "Printer"}, "paid": True, "amount": 12.5}


def test_raw_output_can_be_had_beside_the_parsed():
    both = model.with_structured_output(Ticket, include_raw=True).invoke("priority: whenever")
    assert isinstance(both, dict)
    assert both["parsed"] is None
    assert isinstance(both["parsing_error"], ValidationError)
    assert json.dumps(both["raw"].tool_calls[0]["args"])


def test_a_named_tool_can_be_forced():
    (call,) = model.bind_tools([Ticket, add], tool_choice="add").invoke("7 and 8").tool_calls
    assert (call["name"], call["args"]) == ("add", {"a": 7, "b": 7})


def test_what_is_not_text_is_named():
    picture = {"type": "image", "mime_type": "image/png", "url": "https://example.com/a.png"}
    assert "cannot look at what came with it: image" in answer(HumanMessage([picture]))


def test_tools_of_any_schema_can_be_told_and_filled():
    properties: dict[str, Any] = {
        "more": {"type": ["boolean", "string"]},
        "count": {"type": ["null", "integer"]},
        "either": {"anyOf": [True, {"type": "null"}]},
        "free": {},
        "any": True,
        "list": {"type": "array", "items": True},
    }
    schema = {"title": "think", "type": "object", "properties": properties, "required": [*properties]}
    thinking = {"type": "function", "function": {"name": "think", "parameters": schema}}
    example = '{"more": true, "count": 2, "either": "…", "free": "…", "any": "…", "list": []}'
    assert f"call think {example}" in model.bind_tools([thinking]).invoke("who are you?").text
    (call,) = (
        model.bind_tools([thinking], tool_choice="think").invoke("more: yes, count: 3, list: a, b").tool_calls
    )
    assert call["args"] == {"more": True, "count": 3, "list": ["a", "b"]}
