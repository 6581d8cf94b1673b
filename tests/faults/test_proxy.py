"""The network between processes, on a bad day."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Mood, Proxy
from tests.processes import free_port


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
    writer.close()


@pytest.fixture
async def shouting() -> AsyncIterator[int]:
    port = free_port()
    async with await asyncio.start_server(shout, "127.0.0.1", port):
        yield port


@pytest.fixture
async def proxy(shouting: int) -> AsyncIterator[Proxy]:
    """Before a target that does not listen, and one that does."""
    async with Proxy(free_port(), [free_port(), shouting]) as proxy:
        yield proxy


async def say(proxy: Proxy, seconds: float = 5) -> bytes:
    """What comes back; nothing at all when the connection was cut."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(b"hello\n")
        async with asyncio.timeout(seconds):
            return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_it_passes_on_to_whichever_target_listens(proxy: Proxy) -> None:
    assert [await say(proxy) for _ in range(3)] == [b"HELLO\n"] * 3


async def test_what_comes_while_it_is_frozen_arrives_when_it_thaws(proxy: Proxy) -> None:
    proxy.become(Mood.FROZEN)
    with pytest.raises(TimeoutError):
        await say(proxy, 0.1)
    waiting = asyncio.create_task(say(proxy))
    await asyncio.sleep(0.05)
    proxy.become(Mood.OPEN)
    assert await waiting == b"HELLO\n"


async def test_what_comes_while_it_is_frozen_is_lost_when_it_is_cut(proxy: Proxy) -> None:
    proxy.become(Mood.FROZEN)
    waiting = asyncio.create_task(say(proxy))
    await asyncio.sleep(0.05)
    proxy.become(Mood.CUT)
    assert await waiting == b""


async def test_cut_off_connections_end_and_no_new_ones_come(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello\n")
    assert await reader.readline() == b"HELLO\n"
    proxy.become(Mood.CUT)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    assert await say(proxy) == b""
    writer.close()


async def test_nonsense_is_an_answer_to_anything(proxy: Proxy) -> None:
    proxy.become(Mood.NONSENSE)
    assert await say(proxy) not in (b"", b"HELLO\n")


async def test_a_flood_is_a_hundred_megabytes(proxy: Proxy) -> None:
    proxy.become(Mood.FLOOD)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    total = 0
    while chunk := await reader.read(2**20):
        total += len(chunk)
    assert total == 100 * 2**20
    writer.close()


async def test_no_connection_is_left_when_it_is_closed(shouting: int) -> None:
    async with Proxy(free_port(), [shouting]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello\n")
        await reader.readline()
        assert proxy.connections == 1
    assert proxy.connections == 0
    writer.close()
