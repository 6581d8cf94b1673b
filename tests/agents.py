"""Real agents for tests: a project on disk, opened on a real database, served over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from admin_api.router import admin_router
from agent_runtime.app import create_app
from agent_runtime.project.file import load_project
from agent_runtime.runtime import AgentRuntime, open_runtime
from agent_runtime.settings import AgentSettings
from groundwork.http.load import Load
from tests.processes import free_port
from tests.servers import run_server

CARD = """
graph = "{module}:graph"

[card]
name = "test-agent"
description = "An agent made for one test."
"""

CHAT = """
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from agent_runtime.graph import TurnContext

async def answer(state: MessagesState, runtime: Runtime[TurnContext]):
    turn = runtime.context
    return {"messages": [await turn.model.ainvoke(turn.prompt("Be brief.", state["messages"]))]}

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""

# The message decides what happens, so that a test can hold a turn open, let it go, make it fail or ask.
SCRIPTED = """
import asyncio
from pathlib import Path

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from agent_runtime.graph import Data, File, TurnContext, TurnRejected, reply, send_artifact

HERE = Path(__file__).parent

async def answer(state: MessagesState, runtime: Runtime[TurnContext]):
    text = state["messages"][-1].text
    verb, _, rest = text.partition(" ")
    with (HERE / "journal").open("a") as journal:
        journal.write(f"begin {text}\\n")
    if verb == "hold":
        while not (HERE / f"release-{rest}").exists():
            await asyncio.sleep(0.02)
    elif verb == "sleep":
        await asyncio.sleep(float(rest))
    elif verb == "fail":
        raise RuntimeError("the secret reason " + rest)
    elif verb == "ask":
        rest = "heard " + str(interrupt(rest))
    elif verb == "reject":
        raise TurnRejected(rest)
    elif verb == "reply":
        reply(rest)
    elif verb == "artifacts":
        first = send_artifact("report", "one, ", last=False)
        send_artifact("report", "two", artifact_id=first, append=True)
        send_artifact("table", Data({"rows": 2}), File(name="a.bin", content=b"\\x00\\x01"))
        send_artifact("link", File(name="b.txt", media_type="text/plain", url="https://example.com/b.txt"))
        rest = ""
    with (HERE / "journal").open("a") as journal:
        journal.write(f"end {text}\\n")
    return {"messages": [AIMessage(rest)]} if rest else {}

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""


def write_project(directory: Path, source: str = CHAT, *, extra: str = "") -> Path:
    """An agent project with `source` as its graph. Each gets a module name of its own, as all share a process."""
    directory.mkdir(parents=True, exist_ok=True)
    module = f"graph_{uuid4().hex[:8]}"
    (directory / f"{module}.py").write_text(source)
    (directory / "agent.toml").write_text(CARD.format(module=module) + extra)
    return directory


@dataclass
class Agent:
    """A served agent, and how a caller speaks to it."""

    url: str
    runtime: AgentRuntime
    directory: Path
    http: httpx.AsyncClient = field(repr=False)

    async def rpc(self, method: str, params: dict[str, Any], *, token: str = "") -> dict[str, Any]:
        """A JSON-RPC call of A2A 1.0; the whole answer, error or not."""
        headers = {"A2A-Version": "1.0"} | ({"Authorization": f"Bearer {token}"} if token else {})
        body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
        response = await self.http.post("/", json=body, headers=headers)
        answer: dict[str, Any] = response.json()
        return answer

    async def send(self, text: str, *, token: str = "", **message: Any) -> dict[str, Any]:
        """Sends a text message and waits for the task. Raises `AssertionError` when the answer is an error."""
        answer = await self.rpc("SendMessage", {"message": text_message(text, **message)}, token=token)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def ask(self, text: str, context: str | None = None) -> str:
        """What the agent answers, as text."""
        extra = {"contextId": context} if context else {}
        return answer_text((await self.send(text, **extra))["task"])

    async def messages(self, thread_id: str) -> list[dict[str, Any]]:
        response = await self.http.get(f"/api/v1/memory/threads/{thread_id}/messages")
        assert response.status_code == 200, response.text
        messages: list[dict[str, Any]] = response.json()["data"]["messages"]
        return messages

    def release(self, name: str) -> None:
        """Lets a turn go on that `hold NAME` keeps (see `SCRIPTED`)."""
        (self.directory / f"release-{name}").touch()

    def journal(self) -> list[str]:
        """What the scripted graph has begun and ended, in order."""
        path = self.directory / "journal"
        return path.read_text().splitlines() if path.exists() else []


@asynccontextmanager
async def running_agent(
    directory: Path,
    database_url: str,
    agent_id: str | None = "test-agent",
    *,
    migrate: bool = False,
    graph: str | None = None,
    **settings: Any,
) -> AsyncIterator[Agent]:
    """Opens and serves the project in `directory`; settings are given by their names in `AgentSettings`."""
    given = AgentSettings(
        _env_file=directory / ".env",
        agent_id=agent_id,
        postgres_dsn=database_url,
        **{"turn_lease_seconds": 1, "postgres_pool_size": 8, "shutdown_grace_seconds": 1} | settings,
    )
    project = load_project(directory, graph=graph)
    port = free_port()
    async with (
        open_runtime(
            given,
            project,
            public_url="http://agent.test",
            admin_url=given.admin_url or f"http://127.0.0.1:{port}",
            env_file=directory / ".env",
            migrate=migrate,
        ) as runtime,
        run_server(create_app(runtime, [_admin(runtime)]), port) as url,
        httpx.AsyncClient(base_url=url, timeout=30, verify=False) as http,
    ):
        yield Agent(url, runtime, directory, http)


def text_message(text: str, **fields: Any) -> dict[str, Any]:
    return {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}], **fields}


def answer_text(task: dict[str, Any]) -> str:
    """The text of all the artifacts of a task."""
    parts = [part for artifact in task.get("artifacts", []) for part in artifact["parts"]]
    return "".join(part.get("text", "") for part in parts)


def _admin(runtime: AgentRuntime) -> Any:
    settings = runtime.settings
    return admin_router(
        runtime,
        token=settings.admin_token.get_secret_value(),
        load=Load(settings.max_requests),
        trust=runtime.registry_trust,
    )
