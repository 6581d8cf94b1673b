"""Connections that are reset in the moment in which they are made, as by a load balancer with nobody behind it."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
import uvloop

from groundwork.outgoing.fetch import HttpClient


@pytest.fixture
def resetting() -> Iterator[str]:
    """The URL of somebody who resets every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=reset_all, args=[listener])
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def reset_all(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


async def call(url: str, times: int) -> set[type[BaseException | httpx.Response]]:
    async with HttpClient(timeout=5) as client:
        answers = await asyncio.gather(*(client.get(url) for _ in range(times)), return_exceptions=True)
        return {type(answer) for answer in answers}


def test_a_connection_that_is_reset_at_once_is_one_that_could_not_be_made(resetting: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(20):
            seen = runner.run(call(resetting, 20))
            assert all(issubclass(kind, httpx.TransportError) for kind in seen), seen
