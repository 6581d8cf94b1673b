"""What is let in is answered, and what is too much is refused at once."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from groundwork.http import load as load_module
from groundwork.http.load import Busy, ConnectionQueue, Load, LoadLimit
from tests.servers import run_server

MOST = 3


class Doorkeeper:
    """An app whose requests wait at a gate."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.load = Load(MOST)

    async def wait(self) -> str:
        await self.gate.wait()
        return "let in"

    async def stream(self) -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            yield "first"
            await self.gate.wait()

        return StreamingResponse(pieces())

    async def echo(self, request: Request) -> int:
        return len(await request.body())

    @property
    def app(self) -> LoadLimit:
        app = FastAPI()
        app.add_api_route("/wait", self.wait)
        app.add_api_route("/stream", self.stream)
        app.add_api_route("/echo", self.echo, methods=["POST"])
        app.add_api_route("/health", lambda: "well")
        return LoadLimit(app, self.load, lambda scope: scope["path"] != "/health", refuse)


def refuse(error: Exception) -> JSONResponse:
    return JSONResponse(str(error), 503, error.headers if isinstance(error, Busy) else None)


@pytest.fixture
def doorkeeper() -> Doorkeeper:
    return Doorkeeper()


@pytest.fixture
async def client(doorkeeper: Doorkeeper) -> AsyncIterator[httpx.AsyncClient]:
    async with run_server(doorkeeper.app) as url, httpx.AsyncClient(base_url=url, timeout=10) as client:
        yield client


async def full(doorkeeper: Doorkeeper, client: httpx.AsyncClient) -> list[asyncio.Task[httpx.Response]]:
    waiting = [asyncio.create_task(client.get("/wait")) for _ in range(MOST)]
    while doorkeeper.load.now < MOST:
        await asyncio.sleep(0.01)
    return waiting


def test_one_owner_leaves_room_for_others():
    load = Load(8)
    for _ in range(8):
        load.enter("greedy")
    with pytest.raises(Busy):
        load.enter("another")
    for _ in range(2):
        load.leave("greedy")
    with pytest.raises(Busy):
        load.enter("greedy")
    load.enter("another")
    assert (load.now, load.refused) == (7, 2)


async def test_what_is_too_much_is_refused_and_told_when_to_come_again(doorkeeper, client):
    waiting = await full(doorkeeper, client)
    refused = await client.get("/wait")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (await client.get("/health")).text == '"well"'
    doorkeeper.gate.set()
    assert {answer.text for answer in await asyncio.gather(*waiting)} == {'"let in"'}
    assert (await client.get("/wait")).status_code == 200
    assert (doorkeeper.load.now, doorkeeper.load.refused) == (0, 1)


async def test_open_streams_keep_nobody_out(doorkeeper, client):
    for _ in range(2 * MOST):
        response = await client.send(client.build_request("GET", "/stream"), stream=True)
        assert response.status_code == 200
    assert doorkeeper.load.now == 0
    doorkeeper.gate.set()


async def test_bodies_that_have_not_come_yet_keep_nobody_out(doorkeeper, client):
    async def slowly() -> AsyncIterator[bytes]:
        yield b"a"
        await doorkeeper.gate.wait()
        yield b"b"

    slow = [asyncio.create_task(client.post("/echo", content=slowly())) for _ in range(MOST)]
    await asyncio.sleep(0.1)
    assert doorkeeper.load.now == 0
    assert (await client.post("/echo", content=b"abc")).json() == 3
    doorkeeper.gate.set()
    assert [answer.json() for answer in await asyncio.gather(*slow)] == [2] * MOST


async def test_whoever_goes_away_makes_room(doorkeeper, client):
    waiting = await full(doorkeeper, client)
    for task in waiting:
        task.cancel()
    doorkeeper.gate.set()
    while doorkeeper.load.now:
        await asyncio.sleep(0.01)
    assert (await client.get("/wait")).status_code == 200


async def test_what_takes_too_long_is_given_up(doorkeeper, client, monkeypatch):
    monkeypatch.setattr(load_module, "ANSWER_SECONDS", 0.2)
    began = time.monotonic()
    assert (await client.get("/wait")).status_code == 503
    assert time.monotonic() - began < 5
    assert doorkeeper.load.now == 0


async def test_a_line_that_moves_lets_more_in_and_one_that_stands_does_not(pool, monkeypatch):
    monkeypatch.setattr(load_module, "LONGEST_WAIT_SECONDS", 0.5)
    line = ConnectionQueue(pool)
    assert not line.is_too_long
    connections = [await pool.getconn() for _ in range(pool.max_size)]
    waiting = [asyncio.create_task(pool.getconn(timeout=30)) for _ in range(20)]
    async with asyncio.timeout(10):
        while not line.is_too_long:
            await asyncio.sleep(0.05)
    for connection in connections:
        await pool.putconn(connection)
    for task in waiting:
        await pool.putconn(await task)
    async with asyncio.timeout(10):
        while line.is_too_long:
            await asyncio.sleep(0.05)


async def test_whoever_comes_after_a_quiet_while_and_waits_has_not_waited_long(pool, monkeypatch):
    monkeypatch.setattr(load_module, "LONGEST_WAIT_SECONDS", 0.5)
    line = ConnectionQueue(pool)
    connections = [await pool.getconn() for _ in range(pool.max_size)]
    assert not line.is_too_long
    await asyncio.sleep(0.6)
    waiting = asyncio.create_task(pool.getconn(timeout=30))
    await asyncio.sleep(0)
    was_waiting, is_too_long = pool.get_stats()["requests_waiting"], line.is_too_long
    for connection in connections:
        await pool.putconn(connection)
    await pool.putconn(await waiting)
    assert (was_waiting, is_too_long) == (1, False)
