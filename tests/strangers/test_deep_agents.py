"""An agent of the shape of deep agents: files and a plan in its state, and sub-agents as tools."""

import json

from tests.strangers.serving import Serve, answer, said, say, state_of, status_text

DEEP = """
from pathlib import Path
from typing import Annotated, Literal, NotRequired

from agent_runtime.graph import OfflineChatModel
from langchain.agents import AgentState, create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.prebuilt import InjectedState
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

def merge(old, new):
    return {**(old or {}), **(new or {})}

class Todo(TypedDict):
    content: str
    status: Literal["pending", "done"]

class Deep(AgentState):
    files: Annotated[NotRequired[dict[str, str]], merge]
    todos: NotRequired[list[Todo]]

def updated(text, tool_call_id, **update):
    return Command(update={**update, "messages": [ToolMessage(text, tool_call_id=tool_call_id)]})

@tool
def write_file(path: str, text: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
    "Write a file."
    with (Path(__file__).parent / "journal").open("a") as journal:
        journal.write(path + "\\n")
    return updated(f"wrote {path}", tool_call_id, files={path: text})

@tool
def write_todos(todos: list[Todo], tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
    "Plan."
    return updated("planned", tool_call_id, todos=todos)

@tool
def read_all(state: Annotated[dict, InjectedState]) -> str:
    "Read the plan and all the files."
    todos = [f"{todo['content']} {todo['status']}" for todo in state.get("todos", [])]
    return "; ".join([*todos, *(f"{path}={text}" for path, text in sorted(state.get("files", {}).items()))])

@tool
def confirm(what: str) -> str:
    "Ask a person."
    return f"{what} {interrupt(f'{what}?')}"

helper = create_agent(OfflineChatModel(), [write_file, read_all, confirm], state_schema=Deep, name="helper")

@tool
async def task(
    what: str, state: Annotated[dict, InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]
) -> Command:
    "Have the helper do it, which sees the files and not the conversation."
    given = {"messages": [HumanMessage(what)], "files": state.get("files", {})}
    result = await helper.ainvoke(given)
    return updated(result["messages"][-1].text, tool_call_id, files=result["files"])

tools = [write_file, write_todos, read_all, task]
graph = create_agent(OfflineChatModel(), tools, state_schema=Deep)
"""


def ask_helper(call: str) -> str:
    return f"call task {json.dumps({'what': call})}"


async def test_files_that_tools_write_at_once_are_all_in_the_next_turn_with_the_plan(serve: Serve) -> None:
    agent = await serve(DEEP)
    calls = [f'call write_file {{"path": "{name}", "text": "{name}!"}}' for name in "abc"]
    plan = 'call write_todos {"todos": [{"content": "rest", "status": "pending"}]}'
    task = await say(agent, "\n".join([*calls, plan]))
    assert state_of(task) == "completed"
    assert sorted(agent.journal()) == ["a", "b", "c"]
    assert "rest pending; a=a!; b=b!; c=c!" in said(await say(agent, "call read_all {}", task["contextId"]))
    assert "a!" not in said(await say(agent, "call read_all {}"))


async def test_sub_agents_that_run_at_once_see_the_files_and_give_back_theirs(serve: Serve) -> None:
    agent = await serve(DEEP)
    thread = (await say(agent, 'call write_file {"path": "a", "text": "1"}'))["contextId"]
    assert "a=1" in said(await say(agent, ask_helper("call read_all {}"), thread))
    both = [ask_helper(f'call write_file {{"path": "{name}", "text": "2"}}') for name in "bc"]
    assert state_of(await say(agent, "\n".join(both), thread)) == "completed"
    assert "a=1; b=2; c=2" in said(await say(agent, "call read_all {}", thread))
    assert sorted(agent.journal()) == ["a", "b", "c"]


async def test_the_question_of_a_sub_agent_is_the_task_s_and_what_ran_beside_it_ran_once(serve: Serve) -> None:
    agent = await serve(DEEP)
    write = 'call write_file {"path": "a", "text": "1"}'
    confirm = ask_helper('call confirm {"what": "Send"}')
    task = await say(agent, f"{write}\n{confirm}")
    assert (state_of(task), status_text(task)) == ("input-required", "Send?")
    task = await answer(agent, task, "gladly")
    assert state_of(task) == "completed"
    assert "Send gladly" in said(task)
    assert agent.journal() == ["a"]
