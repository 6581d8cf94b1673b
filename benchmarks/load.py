"""The load generator: says things to an agent over A2A, so many at a time, and notes how long each answer took.
Its client can start executions, too.

A process of its own, with nothing but the standard library, and no more work per request than has to be: it shares
the machine with what it measures.

    python -m benchmarks.load     # one JSON command per line; see `answer`
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

from benchmarks.prose import piece
from benchmarks.subject import Command, answer_commands

_BUSY = b"-32000"
"""The code of a JSON-RPC error by which an agent says that it has as much to do as it can."""

CONVERSATION_TURNS = 4
"""How many turns a conversation has: enough that most turns find something to go on from."""


class Client:
    """One connection to an agent, or to a registry, used again and again."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def say(self, text: str, context_id: str) -> float:
        """The seconds until the whole answer was there. Raises `AnswerWrong`."""
        started = time.perf_counter()
        await self._send("SendMessage", text, context_id)
        status, body = await self._answer()
        seconds = time.perf_counter() - started
        if b"TASK_STATE_COMPLETED" not in body:
            raise AnswerWrong(status, body[:500])
        return seconds

    async def wait_run(self, text: str, thread_id: str) -> float:
        """The seconds until a run of LangGraph's API has answered with its state. Raises `AnswerWrong`."""
        started = time.perf_counter()
        asked = {"messages": [{"role": "user", "content": text}]}
        body = {"assistant_id": "agent", "input": asked, "if_not_exists": "create"}
        await self._post(f"/threads/{thread_id}/runs/wait", body)
        assert self._reader is not None
        head = await self._reader.readuntil(b"\r\n\r\n")
        answer = b"".join([chunk async for chunk in self._chunks()])
        if b" 200 " not in head.partition(b"\r\n")[0] or b'"messages"' not in answer:
            raise AnswerWrong(int(head.split()[1]), answer[:500])
        return time.perf_counter() - started

    async def start(self, workflow_id: str) -> float:
        """The seconds until the registry has taken on an execution. Raises `AnswerWrong`."""
        started = time.perf_counter()
        await self._post("/executions", {"workflow_id": workflow_id, "input": {}})
        status, body = await self._answer()
        if status not in (200, 201):
            raise AnswerWrong(status, body[:500])
        return time.perf_counter() - started

    async def say_patiently(self, text: str, context_id: str) -> float:
        while True:
            try:
                return await self.say(text, context_id)
            except AnswerWrong as wrong:
                if not wrong.is_refusal:
                    raise
            await asyncio.sleep(1)

    async def stream(self, text: str, context_id: str) -> tuple[float, float, int]:
        """Asks for a stream: the seconds until its first event and until its end, and its length in bytes."""
        started = time.perf_counter()
        await self._send("SendStreamingMessage", text, context_id)
        assert self._reader is not None
        await self._reader.readuntil(b"\r\n\r\n")
        first, length, tail = 0.0, 0, b""
        async for chunk in self._chunks():
            first = first or time.perf_counter() - started
            length += len(chunk)
            tail = (tail + chunk)[-4000:]
        if b"TASK_STATE_COMPLETED" not in tail:
            raise AnswerWrong(200, tail)
        return first, time.perf_counter() - started, length

    async def _chunks(self) -> AsyncIterator[bytes]:
        assert self._reader is not None
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    async def _send(self, method: str, text: str, context_id: str) -> None:
        message = {
            "messageId": uuid4().hex,
            "contextId": context_id,
            "role": "ROLE_USER",
            "parts": [{"text": text}],
        }
        await self._post("/", {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message}})

    async def _post(self, path: str, content: Any) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=2**24)
        body = json.dumps(content).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Type: application/json\r\n"
            f"A2A-Version: 1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)

    async def _answer(self) -> tuple[int, bytes]:
        """Its status and its body."""
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return int(head.split()[1]), await self._reader.readexactly(int(length))


class AnswerWrong(Exception):
    """The answer was something else than a completed task, or than an execution."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status, body)
        self.is_refusal = status == 503 or _BUSY in body


def conversations() -> Iterator[str]:
    """The context ids of one turn after the other."""
    for turn in count():
        if turn % CONVERSATION_TURNS == 0:
            context_id = uuid4().hex
        yield context_id


async def keep_busy(turn: Callable[[str], Awaitable[float]], until: float, latencies: list[float]) -> None:
    """Takes one turn after the other, each in the context it is given, until the time has come."""
    for context_id in conversations():
        if time.perf_counter() >= until:
            return
        latencies.append(await turn(context_id))


async def say_many(
    host: str, port: int, concurrent: int, seconds: float, text: str, patient: bool = False
) -> dict[str, Any]:
    """So many speak at a time, for so many seconds. `patient`: who is refused because there is too much to do
    waits for a second."""
    clients = [Client(host, port) for _ in range(concurrent)]
    return await _many(clients, [partial(c.say_patiently if patient else c.say, text) for c in clients], seconds)


async def run_many(host: str, port: int, concurrent: int, seconds: float, text: str) -> dict[str, Any]:
    """So many wait for runs of LangGraph's API at a time, for so many seconds."""
    clients = [Client(host, port) for _ in range(concurrent)]
    return await _many(clients, [partial(client.wait_run, text) for client in clients], seconds)


async def start_many(host: str, port: int, concurrent: int, seconds: float, workflow_id: str) -> dict[str, Any]:
    """So many start executions at a time, for so many seconds."""
    clients = [Client(host, port) for _ in range(concurrent)]

    async def start(client: Client, context_id: str) -> float:
        return await client.start(workflow_id)

    return await _many(clients, [partial(start, client) for client in clients], seconds)


async def _many(
    clients: Sequence[Client], turns: Sequence[Callable[[str], Awaitable[float]]], seconds: float
) -> dict[str, Any]:
    latencies: list[float] = []
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for turn in turns:
            group.create_task(keep_busy(turn, started + seconds, latencies))
    took = time.perf_counter() - started
    for client in clients:
        client.close()
    return {"seconds": took, "latencies": latencies}


async def say_on(host: str, port: int, context_id: str, turns: int, length: int) -> dict[str, Any]:
    """Goes on with one conversation, with something else of this length each time."""
    client = Client(host, port)
    latencies = [await client.say(piece(turn, length), context_id) for turn in range(turns)]
    client.close()
    return {"latencies": latencies}


async def stream_once(host: str, port: int, text: str) -> dict[str, Any]:
    client = Client(host, port)
    first, seconds, length = await client.stream(text, uuid4().hex)
    client.close()
    return {"first": first, "seconds": seconds, "bytes": length}


_KINDS: dict[str, Callable[..., Awaitable[Any]]] = {
    "many": say_many,
    "runs": run_many,
    "start": start_many,
    "on": say_on,
    "stream": stream_once,
}


async def answer(command: Command) -> Any:
    """`{"do": "many", "host": …, "port": …, "concurrent": 8, "seconds": 2, "text": "hello"}` and the like."""
    return await _KINDS[command.pop("do")](**command)


if __name__ == "__main__":
    asyncio.run(answer_commands(answer))
