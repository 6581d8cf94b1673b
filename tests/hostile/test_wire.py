"""What is wrong below HTTP's surface: requests that two readers would take apart in different places, and clients
that take their time."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

from groundwork.http import slow_clients
from groundwork.http.asgi import BodyLimit, BodyTotal, RequestId
from registry.http.errors import refuse_body
from tests.hostile.client import LONGEST_ANSWER
from tests.servers import run_server

LIMIT = 100_000
HEAD = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
SECRET = b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n"

# What one server takes for a body, another one takes for a second request.
SMUGGLED = {
    "both lengths": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECRET,
    "both lengths, the other way": HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    + SECRET,
    "two lengths": HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + SECRET,
    "a list of lengths": HEAD + b"Content-Length: 4, 5\r\n\r\nabcd" + SECRET,
    "a length with a sign": HEAD + b"Content-Length: +4\r\n\r\nabcd" + SECRET,
    "a length below zero": HEAD + b"Content-Length: -1\r\n\r\n" + SECRET,
    "a length that overflows": HEAD + b"Content-Length: 18446744073709551620\r\n\r\nabcd" + SECRET,
    "a length in hexadecimal": HEAD + b"Content-Length: 0x4\r\n\r\nabcd" + SECRET,
    "chunked, but not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SECRET,
    "nearly chunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECRET,
    "a blank before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SECRET,
    "a folded header": HEAD + b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SECRET,
    "a bare line feed": HEAD + b"X: y\nContent-Length: 0\r\n\r\n" + SECRET,
    "a bare carriage return": HEAD + b"X: y\rContent-Length: 40\r\n\r\n" + SECRET,
    "a NUL in a header": HEAD + b"X: a\x00b\r\n\r\n" + SECRET,
    "a size that is none": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + SECRET,
    "a size that overflows": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1ffffffffffffffff\r\n" + SECRET,
    "a chunk that goes on": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + SECRET,
}


async def echo(request: Request) -> int:
    try:
        return len(await request.body())
    except ClientDisconnect:
        return -1


async def secret() -> str:
    return "reached"


def refuse_for_now(scope: Scope) -> Response:
    return Response(status_code=503)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = FastAPI()
    app.add_api_route("/echo", echo, methods=["POST"])
    app.add_api_route("/secret", secret)
    bounded = BodyLimit(app, lambda _: LIMIT, refuse_body, BodyTotal(2 * LIMIT), refuse_for_now)
    async with run_server(RequestId(bounded)) as url:
        yield httpx.URL(url).port or 0


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("HEAD_SECONDS", 0.3), ("BODY_SECONDS", 0.3)):
        monkeypatch.setattr(slow_clients, name, seconds)


@pytest.mark.parametrize("how", SMUGGLED)
async def test_no_request_is_smuggled_in_another(port: int, how: str) -> None:
    said = await say(port, SMUGGLED[how])
    assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), said
    assert said.count(b"HTTP/1.1") == 1
    assert b"reached" not in said


async def test_requests_in_a_row_are_answered_in_a_row(port: int) -> None:
    said = await say(port, SECRET * 2 + SECRET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert said.count(b"200 OK") == said.count(b"reached") == 3


async def test_a_head_without_end_is_cut_off(port: int) -> None:
    for pieces in ([b"GET /" + b"a" * 50_000] * 40, [b"X-%d: y\r\n" % n * 2000 for n in range(100)]):
        said = await say(port, b"GET /secret HTTP/1.1\r\nHost: a\r\n" if b"X" in pieces[0] else b"", *pieces)
        assert said.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400")) or not said
        assert b"reached" not in said


async def test_a_head_that_comes_in_drops_is_not_waited_for(port: int, hurry: None) -> None:
    began = time.monotonic()
    said = await say(port, *[bytes([byte]) for byte in SECRET * 100], pause=0.02)
    assert said.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 3


async def test_a_connection_that_says_nothing_is_closed(port: int, hurry: None) -> None:
    assert await say(port, b"") == b""
    assert (await say(port, *[b"\r\n"] * 100, pause=0.02)).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("length", [b"Content-Length: 50000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_comes_in_drops_is_not_waited_for(
    port: int, hurry: None, length: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    said = await say(port, HEAD + length + b"\r\n\r\n", *[b"1\r\na\r\n"] * 200, pause=0.02)
    assert said.startswith(b"HTTP/1.1 408")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_body_that_comes_at_a_fair_rate_is_waited_for(port: int, hurry: None) -> None:
    pieces = [b"x" * 10_000 for _ in range(10)]
    said = await say(port, HEAD + b"Content-Length: 100000\r\nConnection: close\r\n\r\n", *pieces, pause=0.08)
    assert said.endswith(b"100000")


async def test_trailers_and_extensions_of_chunks_add_nothing(port: int) -> None:
    body = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-Length: 7\r\n\r\n"
    assert (await say(port, HEAD + body)).endswith(b"3")


async def test_a_request_to_become_something_else_is_answered_as_it_is(port: int) -> None:
    upgrade = SECRET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert b"HTTP/1.1 200" in await say(port, upgrade, wait=0.5)


async def test_a_head_in_one_piece_is_counted_too(port: int) -> None:
    said = await say(port, b"GET /secret HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 431")
    assert b"reached" not in said


@pytest.mark.parametrize("beside", [b"0\r\nX: ", b"1;", b"0\r\n" + b"X: y\r\n" * 12_000 + b"X: "])
async def test_what_comes_beside_a_body_is_counted(port: int, beside: bytes) -> None:
    began = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + beside
    assert (await say(port, began, *[b"y" * 20_000] * 200)).startswith(b"HTTP/1.1 431")


async def test_a_packed_body_is_not_taken_for_what_is_in_it(port: int) -> None:
    said = await say(port, HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + SECRET)
    assert said.startswith(b"HTTP/1.1 501")
    assert b"reached" not in said


async def test_idle_connections_give_way_to_new_ones(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slow_clients, "CONNECTIONS", 5)
    monkeypatch.setattr(slow_clients, "_told_at", -1e9)
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
    assert (await say(port, SECRET, wait=1)).endswith(b'"reached"')
    assert await asyncio.wait_for(silent[0][0].read(), 2) == b""
    assert [record.levelname for record in caplog.records if "too many are open" in record.message] == ["WARNING"]
    for _, writer in silent:
        writer.close()


async def test_all_bodies_together_are_bounded(port: int) -> None:
    half = HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 99_000
    said = await asyncio.gather(*(say(port, half, b"x" * 1000, pause=0.3, wait=1) for _ in range(4)))
    assert sorted(each[9:12] for each in said) == [b"200", b"200", b"503", b"503"]
    assert (await say(port, half + b"x" * 1000, wait=0.5)).endswith(b"100000")


async def say(port: int, *pieces: bytes, pause: float = 0, wait: float = 10) -> bytes:
    """What the server says to these bytes until it closes the connection, or for so long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LONGEST_ANSWER)

    async def send() -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    sending, said = asyncio.create_task(send()), b""
    try:
        async with asyncio.timeout(wait):
            while piece := await reader.read(65536):
                said += piece
    except (TimeoutError, ConnectionError):
        pass
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
    return said
