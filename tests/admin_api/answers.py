"""Serving the admin API, and what every answer of it has in common."""

import argparse
import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from admin_api import AdministeredAgent, admin_router
from agent_runtime.live_settings.card_url import CardUrl
from agent_runtime.live_settings.settings import OwnSettings
from agent_runtime.memory.config import LiveMemoryConfig
from agent_runtime.storage.service import Storage
from agent_runtime.threads.service import Threads
from agent_runtime.turn_records.service import TurnRecords
from tests.servers import run_server


@dataclass
class AnyAgent:
    """An agent in any state that a test wants to see answered."""

    agent_id: str | None
    memory: LiveMemoryConfig
    threads: Threads
    turn_records: TurnRecords
    storage: Storage
    card_url: CardUrl
    memory_enabled: bool = True
    memory_backend: str = "postgres"
    postgres_dsn: str = ""
    runtime_control_enabled: bool = False
    components: None = None
    decisions: None = None
    connections: Any = None

    @property
    def live_settings(self) -> OwnSettings:
        return OwnSettings(self.memory, self.card_url)

    def connection_status(self) -> dict[str, dict[str, dict[str, object]]]:
        if isinstance(self.connections, Exception):
            raise self.connections
        return self.connections or {"mcp": {}, "a2a": {}}


def like(agent: AdministeredAgent, **changes: Any) -> AnyAgent:
    """The same agent, except for `changes`."""
    same = {name: getattr(agent, name) for name in ("memory", "threads", "turn_records", "storage", "card_url")}
    return AnyAgent(**{"agent_id": agent.agent_id, **same, **changes})


@asynccontextmanager
async def serve(agent: AdministeredAgent, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The admin API of `agent` on an app of its own, and a client that speaks to it."""
    app = FastAPI()
    app.include_router(admin_router(agent, **options))
    async with run_server(app) as url, httpx.AsyncClient(base_url=url, verify=False) as client:
        yield client


def data_of(answer: httpx.Response) -> Any:
    """The data of a successful answer, in its envelope."""
    content = _envelope(answer)
    assert answer.status_code == 200, content
    assert content["success"] is True
    assert content["error"] is None
    return content["data"]


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error of any other answer, in its envelope."""
    content = _envelope(answer)
    assert answer.status_code >= 400
    assert content["success"] is False
    assert content["data"] is None
    error: dict[str, Any] = content["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    return error


def outcome(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, error_of(answer)["code"]


def _envelope(answer: httpx.Response) -> Any:
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert list(content) == ["success", "data", "error"]
    return content


async def curl(client: httpx.AsyncClient, line: str) -> httpx.Response:
    """Sends what a `curl` line as in the documentation would send, to the client's server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-X", default="GET")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d")
    wanted = parser.parse_args(shlex.split(line.replace("\\\n", " "))[1:])
    headers = dict(header.split(": ", 1) for header in wanted.H)
    path = wanted.url.removeprefix("http://localhost:8000")
    return await client.request(wanted.X, path, headers=headers, content=wanted.d)


async def send_raw(client: httpx.AsyncClient, request: bytes) -> httpx.Response:
    """The answer to exactly these bytes, which no HTTP library has tidied up."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        writer.write(request)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)


async def request_path(client: httpx.AsyncClient, method: str, path: str, *headers: str) -> httpx.Response:
    """The answer to a request whose path is sent as it stands here."""
    lines = [f"{method} {path} HTTP/1.1", *(headers or ["Host: localhost"]), "Connection: close", "", ""]
    return await send_raw(client, "\r\n".join(lines).encode())
