"""A stranger's graph as it is: its source in a project of its own, on a real database, served over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from tests.agents import Agent, running_agent, write_project

Task = dict[str, Any]


class Serve(Protocol):
    async def __call__(self, source: str, *, extra: str = "", **settings: Any) -> Agent: ...


@asynccontextmanager
async def serving(
    directory: Path, database_url: str, source: str, *, extra: str = "", **settings: Any
) -> AsyncIterator[Agent]:
    """Serves `source`, which defines `graph`, from a project of its own below `directory`."""
    project = write_project(directory / uuid4().hex[:8], source, extra=extra)
    async with running_agent(project, database_url, **settings) as agent:
        yield agent


async def say(agent: Agent, text: str, context: str | None = None) -> Task:
    """Send a message without a task id and return its task, whatever became of it."""
    extra = {"contextId": context} if context else {}
    task: Task = (await agent.send(text, **extra))["task"]
    return task


async def answer(agent: Agent, task: Task, text: str = "", data: Any = None) -> Task:
    """Answer the task's question with a text, or with a data part, and return the task as it is then."""
    parts = [{"text": text}] if data is None else [{"data": data}]
    given = {"contextId": task["contextId"], "taskId": task["id"], "parts": parts}
    answered: Task = (await agent.send("", **given))["task"]
    return answered


def said(task: Task) -> str:
    """The text of the task's last artifact."""
    return "".join(part.get("text", "") for part in task["artifacts"][-1]["parts"])


def state_of(task: Task) -> str:
    """The task's state, such as `completed` or `input-required`."""
    state: str = task["status"]["state"]
    return state.removeprefix("TASK_STATE_").lower().replace("_", "-")


def status_text(task: Task) -> str:
    """What the task's status says in text: the question, or why it failed."""
    parts = task["status"].get("message", {}).get("parts", [])
    return "\n".join(part["text"] for part in parts if "text" in part)


def status_data(task: Task) -> list[Any]:
    """The data parts beside that text."""
    parts = task["status"].get("message", {}).get("parts", [])
    return [part["data"] for part in parts if "data" in part]


# A model as providers have them, for sources to begin with: it refuses a conversation with an unanswered call.
STRICT_MODEL = """
from pathlib import Path

from agent_runtime.graph import OfflineChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool

def note(line):
    with (Path(__file__).parent / "journal").open("a") as journal:
        journal.write(line + "\\n")

class StrictModel(OfflineChatModel):
    def _answer(self, messages, bound):
        for index, message in enumerate(messages):
            calls = {call["id"] for call in message.tool_calls} if isinstance(message, AIMessage) else set()
            for result in messages[index + 1 : index + 1 + len(calls)]:
                calls -= {result.tool_call_id} if isinstance(result, ToolMessage) else set()
            assert not calls, f"400: tool calls without results: {calls}"
        return super()._answer(messages, bound)

@tool
def pay(amount: int) -> str:
    "Pay."
    note(f"paid {amount}")
    return f"paid {amount}"

@tool
def fail() -> str:
    "Fail."
    raise RuntimeError("out of order")
"""
