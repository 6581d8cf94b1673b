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
