"""An A2A server on real turns, with a scripted graph: what a message says decides what its turn does."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI

from agent_runtime.a2a_server.service import A2AServer, open_a2a_server
from agent_runtime.graph.outputs import (
    Artifact,
    Completed,
    Data,
    Failed,
    File,
    NeedsInput,
    Outcome,
    Output,
    Rejected,
    Replied,
    Text,
    ToolAnswered,
    ToolCalled,
)
from agent_runtime.live_settings.card_url import CardUrl
from agent_runtime.project.file import CardSpec, Project, Skill
from agent_runtime.settings import AgentSettings
from agent_runtime.turns.engine import Turns
from agent_runtime.turns.graph_run import Put, RunResult
from agent_runtime.turns.lease import open_lease
from agent_runtime.turns.reports import TurnReport
from agent_runtime.turns.types import TurnRequest
from groundwork.postgres.pool import Pool
from groundwork.process.background import running
from groundwork.process.loop_watch import LoopWatch
from tests.servers import run_server

CARD = CardSpec("test-agent", "An agent for tests.", "1.2.3", (Skill("chat", "Chat", "Talks.", ("chat",)),))

Json = dict[str, Any]

PATIENCE = 500
"""How often something is looked at, 20 ms apart, before a test gives up on it."""


class Script:
    """The scripted graph. `release(name)` lets the turns go on that `hold name` keeps right now."""

    def __init__(self) -> None:
        self.requests: list[TurnRequest] = []
        self._gates: dict[str, asyncio.Event] = {}

    def gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    def release(self, name: str) -> None:
        self.gate(name).set()

    async def begun(self, text: str) -> None:
        """Returns once the turn for this message runs."""
        for _ in range(PATIENCE):
            if text in [str(request.message.text) for request in self.requests]:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"no turn for {text!r}")

    async def run(self, report: TurnReport, request: TurnRequest, summary: str | None, put: Put) -> RunResult:
        self.requests.append(request)
        if request.answers:
            return finished(Completed(), answer(f"heard {request.message.text}"))
        if data := request.message.additional_kwargs.get("a2a", {}).get("data"):
            return finished(Completed(), Artifact("data", "data", tuple(Data(value) for value in data)))
        verb, _, rest = str(request.message.text).partition(" ")
        doing: dict[str, Callable[[str, Put], Awaitable[RunResult]]] = {
            "hold": self._hold,
            "chunks": self._chunks,
            "tools": self._tools,
            "files": self._files,
        }
        outcomes: dict[str, Outcome] = {
            "ask": NeedsInput((Text(rest),)),
            "reply": Replied((Text(rest),)),
            "reject": Rejected(rest),
            "fail": Failed(rest),
        }
        if verb in doing:
            return await doing[verb](rest, put)
        if verb in outcomes:
            return finished(outcomes[verb])
        return finished(Completed(), answer(str(request.message.text)))

    async def _hold(self, rest: str, put: Put) -> RunResult:
        name, _, then = rest.partition(" ")
        await self.gate(name).wait()
        self.gate(name).clear()
        return finished(Replied((Text(then),))) if then else finished(Completed(), answer(name))

    async def _chunks(self, rest: str, put: Put) -> RunResult:
        for number in range(int(rest)):
            await put([chunk(f"{number} ", append=number > 0)])
        return finished(Completed(), answer("all", append=True))

    async def _tools(self, rest: str, put: Put) -> RunResult:
        await put([ToolCalled("1", "add", {"a": 1}), ToolAnswered("1", "add", failed=False)])
        return finished(Completed(), answer("2"))

    async def _files(self, rest: str, put: Put) -> RunResult:
        file, link = File("a.bin", content=b"\x00\xff"), File("b.txt", "text/plain", url="https://x.test/b")
        return finished(Completed(), Artifact("f", "files", (file, link, Data({"n": 1, "list": [1.5, None]}))))


def finished(outcome: Outcome, *outputs: Output) -> RunResult:
    return RunResult(outcome, list(outputs), [])


def answer(text: str, *, append: bool = False) -> Artifact:
    return Artifact("answer", "answer", (Text(text),), append=append)


def chunk(text: str, *, append: bool) -> Artifact:
    return Artifact("answer", "answer", (Text(text),), append=append, last=False)


@dataclass
class Served:
    """One replica, and how a caller speaks to it."""

    url: str
    a2a: A2AServer
    turns: Turns
    script: Script
    card_url: CardUrl
    http: httpx.AsyncClient = field(repr=False)

    async def rpc(self, method: str, params: Json, *, token: str = "", version: str = "1.0") -> Json:
        body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
        answer: Json = (await self.http.post("/", json=body, headers=headers(token, version))).json()
        return answer

    async def send(self, text: str, *, token: str = "", configuration: Json | None = None, **fields: Any) -> Json:
        """Sends a message; the result, or the error."""
        params: Json = {"message": text_message(text, **fields), "configuration": configuration or {}}
        answer = await self.rpc("SendMessage", params, token=token)
        result: Json = answer.get("result", answer)
        return result

    async def start(self, text: str, **fields: Any) -> Json:
        """Sends a message and returns its task at once."""
        result = await self.send(text, configuration={"returnImmediately": True}, **fields)
        task: Json = result["task"]
        return task

    async def task(self, task_id: str, *, token: str = "") -> Json:
        return await self.rpc("GetTask", {"id": task_id}, token=token)

    async def until(self, task_id: str, *states: str) -> Json:
        """The task, once it is in one of the states."""
        for _ in range(PATIENCE):
            answer = await self.task(task_id)
            assert "result" in answer, answer
            task: Json = answer["result"]
            if state_of(task) in states:
                return task
            await asyncio.sleep(0.02)
        raise AssertionError(f"still {state_of(task)}")

    async def stream(self, method: str, params: Json) -> AsyncGenerator[Json, None]:
        body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
        async with self.http.stream("POST", "/", json=body, headers=headers()) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    event: Json = json.loads(line[5:])
                    yield event.get("result", event)
                elif line.startswith("{"):
                    yield json.loads(line)

    async def streamed(self, text: str, **fields: Any) -> list[Json]:
        params = {"message": text_message(text, **fields)}
        return [event async for event in self.stream("SendStreamingMessage", params)]


@asynccontextmanager
async def serving(
    pool: Pool, *, script: Script | None = None, agent_id: str = "agent", **settings: Any
) -> AsyncIterator[Served]:
    """Serves one replica of an agent on `pool`'s database."""
    script = script or Script()
    given = AgentSettings(agent_id=agent_id, **{"shutdown_grace_seconds": 1, "turn_lease_seconds": 1, **settings})
    project = Project(Path(), "graph:graph", CARD)
    card_url = CardUrl("http://agent.test", None)
    app = FastAPI()
    async with (
        open_lease(
            pool, agent_id, given.turn_lease_seconds, watch=LoopWatch(), longest_seconds=given.max_turn_seconds
        ) as lease,
        open_a2a_server(given, project, pool, card_url) as a2a,
    ):
        turns = Turns(pool, lease, a2a.recorder, script.run, lost=a2a.turn_lost)
        a2a.serve(turns)
        a2a.add_routes(app)
        async with (
            running("dispatch", turns.dispatch),
            running("sweep", turns.sweep),
            run_server(app) as url,
            httpx.AsyncClient(base_url=url, timeout=15, verify=False) as http,
        ):
            yield Served(url, a2a, turns, script, card_url, http)
            await turns.drain(0.2)


def headers(token: str = "", version: str = "1.0") -> dict[str, str]:
    return {"A2A-Version": version} | ({"Authorization": f"Bearer {token}"} if token else {})


def text_message(text: str, **fields: Any) -> Json:
    return {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}], **fields}


def state_of(task: Json) -> str:
    state: str = task["status"]["state"]
    return state.removeprefix("TASK_STATE_")


def text_of(task: Json) -> str:
    return "".join(part.get("text", "") for artifact in task["artifacts"] for part in artifact["parts"])
