"""Request ids and body limits over a real socket."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Scope

from groundwork.http.asgi import BodyLimit, BodyTotal, RequestId
from groundwork.telemetry.logs import request_id
from tests.servers import run_server

LIMIT = 1000

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one server for all of them


def refuse(scope: Scope, limit: int) -> Response:
    return JSONResponse({"path": scope["path"], "limit": limit}, status_code=413)


def limit_for(scope: Scope) -> int:
    return 10 * LIMIT if scope["path"] == "/large" else LIMIT


def build_app() -> FastAPI:
    app = FastAPI()

    @app.post("/body")
    @app.post("/large")
    async def body(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    @app.post("/model")
    async def model(value: dict[str, str]) -> Response:
        return PlainTextResponse("read")

    @app.post("/ignores")
    async def ignores() -> Response:
        return PlainTextResponse("not read")

    @app.post("/careless")
    async def careless(request: Request) -> Response:
        try:
            await request.body()
        except Exception as error:  # as applications do
            raise RuntimeError("the body was bad") from error
        return PlainTextResponse("read")

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return StreamingResponse(request.stream())

    @app.get("/id")
    async def current_id() -> Response:
        return PlainTextResponse(request_id.get() or "")

    @app.get("/crash")
    async def crash() -> Response:
        raise RuntimeError("a bug")

    return app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = RequestId(BodyLimit(build_app(), limit_for, refuse, BodyTotal(), lambda scope: refuse(scope, 0)))
    async with run_server(app) as url, httpx.AsyncClient(base_url=url, verify=False) as client:
        yield client


async def pieces(count: int, size: int = 100) -> AsyncIterator[bytes]:
    """A body that does not say how long it is."""
    for _ in range(count):
        yield b"x" * size


async def test_a_body_of_exactly_the_limit_passes(client: httpx.AsyncClient) -> None:
    assert (await client.post("/body", content=b"x" * LIMIT)).text == "1000"
    assert (await client.post("/body", content=pieces(10))).text == "1000"


@pytest.mark.parametrize("path", ["/body", "/model", "/ignores", "/careless", "/echo", "/nowhere"])
async def test_a_body_that_says_it_is_too_long_is_refused(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=b"x" * (LIMIT + 1))
    assert (answer.status_code, answer.json()) == (413, {"path": path, "limit": LIMIT})


@pytest.mark.parametrize("path", ["/body", "/model", "/careless"])
async def test_a_body_that_turns_out_to_be_too_long_is_refused(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=pieces(11), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (413, {"path": path, "limit": LIMIT})


async def test_the_limit_is_the_one_of_the_path(client: httpx.AsyncClient) -> None:
    assert (await client.post("/large", content=pieces(11))).text == "1100"
    assert (await client.post("/large", content=pieces(101))).json() == {"path": "/large", "limit": 10 * LIMIT}


async def test_a_client_that_only_reads_when_it_has_sent_all_gets_the_answer(client: httpx.AsyncClient) -> None:
    assert (await client.post("/body", content=b"x" * 20_000_000)).status_code == 413
    assert (await client.post("/body", content=pieces(300, 65536))).status_code == 413


async def test_a_body_without_end_is_cut_off(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        try:
            answer = await client.post("/body", content=pieces(10**9, 65536))
            assert answer.status_code == 413
        except httpx.TransportError:
            pass  # it was still sending when the connection was closed


async def test_an_answer_that_has_begun_is_broken_off(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post("/echo", content=pieces(11))


async def test_requests_after_a_refused_one_are_served(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await client.post("/body", content=b"x" * 100_000)).status_code == 413
        assert (await client.post("/body", content=b"x")).text == "1"


@pytest.mark.parametrize("given", ["a", "A-1_b.c", "x" * 64])
async def test_a_sane_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/id", headers={"X-Request-Id": given})
    assert (answer.text, answer.headers["X-Request-Id"]) == (given, given)


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", 'a"', "ä"])
async def test_any_other_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/id", headers=[(b"X-Request-Id", given.encode())])
    assert answer.text == answer.headers["X-Request-Id"] != given
    assert len(answer.text) == 32


async def test_every_request_has_an_id_of_its_own(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/id") for _ in range(10)))
    assert len({answer.text for answer in answers}) == 10


async def test_a_crash_carries_its_id_in_the_answer_and_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    logged: list[str | None] = []

    def remember(_: logging.LogRecord) -> bool:
        logged.append(request_id.get())
        return True

    caplog.handler.addFilter(remember)
    answer = await client.get("/crash", headers={"X-Request-Id": "the-crash"})
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (500, "the-crash")
    assert "the-crash" in logged
