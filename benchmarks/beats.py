"""Many agents that say that they live: so many heartbeats a second, spread over all of them.

python -m benchmarks.beats     # one JSON command per line; see `beat`
"""

import asyncio
import time
from typing import Any

from benchmarks.subject import Command, answer_commands


class Beat(asyncio.Protocol):
    """The connection of one heartbeat, which is used once, as agents use it, or kept."""

    def __init__(self, latencies: list[float], *, keep: bool) -> None:
        self._latencies, self._keep = latencies, keep
        self._transport: asyncio.WriteTransport | None = None
        self._sent = 0.0
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def send(self, request: bytes, started: float) -> None:
        assert self._transport is not None
        self._sent = started
        self.answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/"):
            return  # the rest of an answer
        if data.startswith(b"HTTP/1.1 200"):
            self._latencies.append(time.perf_counter() - self._sent)
        if not self.answered.done():
            self.answered.set_result(None)
        if not self._keep:
            assert self._transport is not None
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


def request_of(host: str, port: int, token: str, agent: int, *, keep: bool) -> bytes:
    body = b'{"incarnation": "a", "health": "ok", "heartbeat_seconds": 600.0}'
    head = (
        f"POST /agents/agent-{agent}/heartbeat HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\n"
        f"Accept-Encoding: gzip, deflate\r\nConnection: {'keep-alive' if keep else 'close'}\r\n"
        f"User-Agent: agent-sidecar/0.1.0\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n"
    )
    return head.encode() + body


async def beat(
    host: str, port: int, token: str, agents: int, rate: float, seconds: float, keep: bool
) -> dict[str, Any]:
    """Sends `rate` heartbeats a second, each when its time has come, whatever becomes of the others."""
    latencies: list[float] = []
    kept: dict[int, Beat] = {}
    loop, started = asyncio.get_running_loop(), time.perf_counter()

    async def one(agent: int, at: float) -> None:
        if (protocol := kept.get(agent)) is None:
            _, protocol = await loop.create_connection(lambda: Beat(latencies, keep=keep), host, port)
            if keep:
                kept[agent] = protocol
        protocol.send(request_of(host, port, token, agent, keep=keep), at)
        await protocol.answered

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = started + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(number % agents, time.perf_counter()))
    sent = int(rate * seconds)
    return {"seconds": time.perf_counter() - started, "latencies": latencies, "refused": sent - len(latencies)}


async def answer(command: Command) -> Any:
    """`{"host": …, "port": …, "token": …, "agents": 10000, "rate": 1000, "seconds": 5, "keep": false}`"""
    return await beat(**command)


if __name__ == "__main__":
    asyncio.run(answer_commands(answer))
