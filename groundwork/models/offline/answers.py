"""What the offline model says: pure functions from what it is given to its answer."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from groundwork.models.offline.arguments import arguments_from, main_schema
from groundwork.models.offline.summary import facts_in, is_summary_request, summarize

Tool = dict[str, Any]
"""A bound tool, as `convert_to_openai_tool` describes it."""

WHO_I_AM = (
    "I am the offline model that comes with agent-sidecar. I need no key and no network, and I understand little;"
    " set MODEL=provider:name to talk to a real one."
)
MOST_TOKENS = 100_000
LONGEST_ECHO = 300

_CALL = re.compile(r"^[ \t]*(?:call|/tool)[ \t]+([\w.-]+)[ \t]*", re.IGNORECASE | re.MULTILINE)
_COUNT = re.compile(r"\bcount to (\d{1,9})\b", re.IGNORECASE)
_WHO = re.compile(r"\b(?:who|what) are you\b|\bwhat can you do\b|^\W*help\W*$", re.IGNORECASE)
_INSTRUCTIONS = re.compile(r"\bwhat (?:are|were) your instructions\b", re.IGNORECASE)
_RECALL = re.compile(
    r"\b(?:what(?:['’]s| is| are)|remember|know|tell me)(?: what)? my ([^?.!\n]+?)(?: is| are)?\s*(?:[?.!]|$)",
    re.IGNORECASE,
)
_RECALL_ALL = re.compile(r"\bwhat (?:do|can) you (?:remember|know)\b", re.IGNORECASE)


def forced_tool(tools: Sequence[Tool], tool_choice: Any) -> Tool | None:
    """The tool that must be called, if `tool_choice`, in any of the forms providers take, demands one."""
    if not tools or tool_choice in (None, False, "auto", "none"):
        return None
    if tool_choice in (True, "any", "required"):
        return tools[0]
    name = tool_choice["function"]["name"] if isinstance(tool_choice, dict) else tool_choice
    return _find(tools, name)


def answer_to(
    messages: Sequence[BaseMessage], tools: Sequence[Tool], forced: Tool | None, introduction: str = WHO_I_AM
) -> AIMessage:
    """The answer to a prompt; `OfflineChatModel` says in which order things are understood."""
    said = _last_said(messages)
    if is_summary_request(messages):
        return AIMessage(summarize(said))
    if forced is not None:
        return _calling([_call(forced, arguments_from(said, forced["function"].get("parameters", {})))])
    if results := _latest_results(messages):
        return AIMessage("\n".join(_tell(result, messages) for result in results))
    if _CALL.search(said):
        return _call_as_told(said, tools)
    return AIMessage(_introduced(_converse(said, messages, tools, introduction), messages, introduction))


def _last_said(messages: Sequence[BaseMessage]) -> str:
    return next((message.text for message in reversed(messages) if isinstance(message, HumanMessage)), "")


# Tools


def _find(tools: Sequence[Tool], name: str) -> Tool | None:
    return next((tool for tool in tools if tool["function"]["name"] == name), None)


def _call(tool: Tool, arguments: dict[str, Any]) -> ToolCall:
    # A random id: the same call made twice in a thread must not look like one.
    return ToolCall(name=tool["function"]["name"], args=arguments, id=f"call_{uuid4().hex}")


def _calling(calls: list[ToolCall]) -> AIMessage:
    return AIMessage("", tool_calls=calls)


def _call_as_told(said: str, tools: Sequence[Tool]) -> AIMessage:
    try:
        return _calling([_call(tool, arguments) for tool, arguments in _calls_told(said, tools)])
    except ValueError as error:
        return AIMessage(f"{error} {_how_to_call(tools)}")


def _calls_told(said: str, tools: Sequence[Tool]) -> Iterator[tuple[Tool, dict[str, Any]]]:
    for match in _CALL.finditer(said):
        name = match[1]
        if (tool := _find(tools, name)) is None:
            raise ValueError(f"I have no tool called {name}.")
        yield tool, _json_arguments(name, said[match.end() :])


def _json_arguments(name: str, rest: str) -> dict[str, Any]:
    if not rest.startswith("{"):
        return {}
    try:
        arguments: dict[str, Any] = json.JSONDecoder().raw_decode(rest)[0]
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The arguments for {name} are not a JSON object: {error}.") from None
    return arguments


def _how_to_call(tools: Sequence[Tool]) -> str:
    if not tools:
        return "No tools are bound to me here."
    lines = [f"call {tool['function']['name']} {_example(tool)}".rstrip() for tool in tools]
    return "Tools are called by a line such as:\n" + "\n".join(lines)


def _example(tool: Tool) -> str:
    properties = tool["function"].get("parameters", {}).get("properties", {})
    samples = {"integer": 2, "number": 1.5, "boolean": True, "array": [], "object": {}}
    example = {name: samples.get(str(main_schema(schema).get("type")), "…") for name, schema in properties.items()}
    return json.dumps(example, ensure_ascii=False) if example else ""


def _latest_results(messages: Sequence[BaseMessage]) -> list[ToolMessage]:
    latest = takewhile(lambda message: isinstance(message, ToolMessage), reversed(messages))
    return [message for message in latest if isinstance(message, ToolMessage)][::-1]


def _tell(result: ToolMessage, messages: Sequence[BaseMessage]) -> str:
    verb = "failed" if result.status == "error" else "answered"
    return f"{result.name or _called_name(result, messages)} {verb}: {result.text or '(nothing)'}"


def _called_name(result: ToolMessage, messages: Sequence[BaseMessage]) -> str:
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    return next((call["name"] for call in calls if call["id"] == result.tool_call_id), "the tool")


# Conversation


def _introduced(answer: str, messages: Sequence[BaseMessage], introduction: str) -> str:
    """In the first answer it sees of itself, the model says what it is."""
    introduced = introduction in answer or any(isinstance(message, AIMessage) for message in messages)
    return answer if introduced else f"{answer}\n\n({introduction})"


def _converse(said: str, messages: Sequence[BaseMessage], tools: Sequence[Tool], introduction: str) -> str:
    if count := _COUNT.search(said):
        return " ".join(str(number) for number in range(1, min(int(count[1]), MOST_TOKENS) + 1))
    if _WHO.search(said):
        return f"{introduction}\n\n{_how_to_call(tools)}"
    if _INSTRUCTIONS.search(said):
        return _instructions(messages)
    if _RECALL_ALL.search(said):
        return _all_facts(facts_in(messages))
    if asked := _RECALL.search(said):
        return _one_fact(asked[1], facts_in(messages))
    if stated := facts_in([HumanMessage(said)]):
        return f"Noted: {_listed(stated)}."
    return _echo(said, messages)


def _instructions(messages: Sequence[BaseMessage]) -> str:
    given = "\n\n".join(message.text for message in messages if isinstance(message, SystemMessage))
    return f"My instructions are: {given}" if given else "I was given no instructions."


def _one_fact(topic: str, facts: dict[str, str]) -> str:
    if value := facts.get(topic.strip().lower()):
        return f"Your {topic.strip()} is {value}."
    return f"You have not told me your {topic.strip()} in what I can see of this conversation."


def _all_facts(facts: dict[str, str]) -> str:
    if not facts:
        return "You have told me nothing about yourself in what I can see of this conversation."
    return f"I remember: {_listed(facts)}."


def _listed(facts: dict[str, str]) -> str:
    return ", ".join(f"your {topic} is {value}" for topic, value in facts.items())


def _echo(said: str, messages: Sequence[BaseMessage]) -> str:
    seen = sum(isinstance(message, HumanMessage) for message in messages)
    shown = said if len(said) <= LONGEST_ECHO else f"{said[:LONGEST_ECHO]}…"
    others = _without_text(messages)
    heard = f'You said: "{shown}".' if shown else "You sent no text."
    return f"{heard}{others} I can see {seen} of your messages." if seen != 1 else f"{heard}{others}"


def _without_text(messages: Sequence[BaseMessage]) -> str:
    """Names what came with the last human message and is not text; the model cannot look at it."""
    last = next((message for message in reversed(messages) if isinstance(message, HumanMessage)), HumanMessage(""))
    kinds = [str(block["type"]) for block in last.content_blocks if block["type"] != "text"]
    return f" I cannot look at what came with it: {', '.join(kinds)}." if kinds else ""
