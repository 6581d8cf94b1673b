"""A TCP proxy that can be in a bad mood: what a network does on its bad days, and what a server behind it does."""

import asyncio
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

Place = int | Path
"""A port of this machine, or a unix socket."""

_CHUNK = 64 * 1024
_SLOW_SECONDS = 0.15
_FLOOD = 100 * 1024 * 1024
_FLOOD_HEAD = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {_FLOOD}\r\n\r\n".encode()
_GONE = (ConnectionError, TimeoutError, FileNotFoundError)


class Mood(StrEnum):
    OPEN = "open"
    SLOW = "slow"
    """Each chunk comes late."""
    FROZEN = "frozen"
    """Nothing comes, and nobody says so; what was on its way comes when it thaws."""
    CUT = "cut"
    """Connections are reset, and so is whoever comes."""
    NONSENSE = "nonsense"
    """Bytes that mean nothing, in answer to anything."""
    FLOOD = "flood"
    """A hundred megabytes, in answer to anything."""


_PASSING = {Mood.OPEN, Mood.SLOW, Mood.FROZEN}


@dataclass
class Proxy:
    """Listens on a port and passes connections on to its targets in turn; one that does not listen is left out, as
    by a load balancer. Use as a context manager."""

    port: int
    targets: Sequence[Place]
    mood: Mood = Mood.OPEN
    in_use: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever has put it in a bad mood."""
    _turn: int = 0
    _thawed: asyncio.Event = field(default_factory=asyncio.Event)
    _connections: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def __aenter__(self) -> "Proxy":
        self._thawed.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._drop_connections()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def become(self, mood: Mood) -> None:
        """In the moods in which nothing passes, the connections that there are end."""
        self.mood = mood
        if mood is Mood.FROZEN:
            self._thawed.clear()
        else:
            self._thawed.set()
        if mood not in _PASSING:
            self._drop_connections()

    def _drop_connections(self) -> None:
        for task in self._connections:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
            writer.close()
        except (*_GONE, asyncio.CancelledError):
            # One of the sides has left, or it was cut off here; the cancellation was meant for this task alone.
            _reset(writer)
        finally:
            self._connections.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._thawed.wait()
        if self.mood is Mood.NONSENSE:
            await reader.read(_CHUNK)
            writer.write(os.urandom(2000))
            await writer.drain()
        elif self.mood is Mood.FLOOD:
            await reader.read(_CHUNK)
            await _flood(writer)
        elif self.mood is Mood.CUT:
            raise ConnectionResetError
        else:
            await self._pass_on(reader, writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await self._connect()
        try:
            there = asyncio.create_task(self._pump(reader, their_writer))
            back = asyncio.create_task(self._pump(their_reader, writer))
            try:
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
        finally:
            their_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*_GONE):
            while chunk := await reader.read(_CHUNK):
                if self.mood is Mood.SLOW:
                    await asyncio.sleep(_SLOW_SECONDS)
                await self._thawed.wait()
                if self.mood not in _PASSING:
                    raise ConnectionResetError
                writer.write(chunk)
                await writer.drain()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises `ConnectionError` when no target listens."""
        for _ in self.targets:
            self._turn += 1
            with suppress(*_GONE):
                return await _open(self.targets[self._turn % len(self.targets)])
        raise ConnectionRefusedError(f"nobody listens behind port {self.port}")


async def _open(target: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(target, Path):
        return await asyncio.open_unix_connection(target)
    return await asyncio.open_connection("127.0.0.1", target)


def _reset(writer: asyncio.StreamWriter) -> None:
    """With an RST, so that it is not taken for an orderly end."""
    if not writer.transport.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _flood(writer: asyncio.StreamWriter) -> None:
    writer.write(_FLOOD_HEAD)
    for _ in range(_FLOOD // _CHUNK):
        writer.write(b"x" * _CHUNK)
        await writer.drain()
