"""More than an agent can do: messages at a rate of their own, whatever becomes of the ones before.

python -m benchmarks.overload     # one JSON command per line; see `overload`
"""

import asyncio
import time
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

from benchmarks.load import AnswerWrong, Client
from benchmarks.subject import Command, answer_commands

BUSY = b"-32000"
"""What the agent answers when it has as much to do as it can."""

_STEP_SECONDS = 0.02
_CLOSED_WITHIN = 0.5


@dataclass
class Flood:
    """How long it took until messages were answered or refused, in seconds; what else became of any; and how long
    after the last one the agent answered as quickly as before."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    recovered_after: float = 0.0


class _Clients:
    """Connections, used again when they are free."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._free: list[Client] = []

    async def say(self, text: str, flood: Flood) -> None:
        kept = bool(self._free)
        client = self._free.pop() if kept else Client(self._host, self._port)
        started = time.perf_counter()
        try:
            flood.accepted.append(await client.say(text, uuid4().hex))
        except AnswerWrong as wrong:
            seconds = time.perf_counter() - started
            if BUSY in wrong.args[0]:
                flood.refused.append(seconds)
            else:
                flood.broken.append(repr(wrong))
        except (OSError, asyncio.IncompleteReadError) as error:
            client.close()
            if kept and time.perf_counter() - started < _CLOSED_WITHIN:  # it had been closed for being idle
                await self.say(text, flood)
            else:
                flood.broken.append(repr(error))
            return
        self._free.append(client)

    def close(self) -> None:
        for client in self._free:
            client.close()


async def overload(host: str, port: int, rate: float, seconds: float, text: str, well: float) -> Flood:
    """Sends so many messages per second for so many seconds, then one after the other until one is answered within
    `well` seconds."""
    clients, flood = _Clients(host, port), Flood()
    began, sent = time.perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        while (elapsed := time.perf_counter() - began) < seconds:
            while sent < elapsed * rate:
                group.create_task(clients.say(text, flood))
                sent += 1
            await asyncio.sleep(_STEP_SECONDS)
        group.create_task(_recover(host, port, text, well, flood))
    clients.close()
    return flood


async def _recover(host: str, port: int, text: str, well: float, flood: Flood) -> None:
    ended, client = time.perf_counter(), Client(host, port)
    while True:
        try:
            if await client.say(text, uuid4().hex) <= well:
                break
        except AnswerWrong:
            await asyncio.sleep(_STEP_SECONDS)
    flood.recovered_after = time.perf_counter() - ended
    client.close()


async def answer(command: Command) -> Any:
    return asdict(await overload(**command))


if __name__ == "__main__":
    asyncio.run(answer_commands(answer))
