"""More than a service can do: messages or executions at a rate of their own, whatever becomes of those before.

python -m benchmarks.overload     # one JSON command per line; see `overload`
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

from benchmarks.load import AnswerWrong, Client
from benchmarks.subject import Command, answer_commands

Ask = Callable[[Client], Awaitable[float]]
"""Asks for something, and returns how long the answer took, in seconds. Raises `AnswerWrong`."""

_STEP_SECONDS = 0.02
_CLOSED_WITHIN = 0.5


@dataclass
class Flood:
    """How long it took until requests were answered or refused, in seconds; what else became of any; and how long
    after the last one the service answered as quickly as before."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    recovered_after: float = 0.0


class _Clients:
    """Connections, used again when they are free."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._free: list[Client] = []

    async def ask(self, ask: Ask, flood: Flood) -> None:
        kept = bool(self._free)
        client = self._free.pop() if kept else Client(self._host, self._port)
        started = time.perf_counter()
        try:
            flood.accepted.append(await ask(client))
        except AnswerWrong as wrong:
            if wrong.is_refusal:
                flood.refused.append(time.perf_counter() - started)
            else:
                flood.broken.append(repr(wrong))
        except (OSError, asyncio.IncompleteReadError) as error:
            client.close()
            if kept and time.perf_counter() - started < _CLOSED_WITHIN:  # it had been closed for being idle
                await self.ask(ask, flood)
            else:
                flood.broken.append(repr(error))
            return
        self._free.append(client)

    def close(self) -> None:
        for client in self._free:
            client.close()


async def overload(host: str, port: int, ask: Ask, rate: float, seconds: float, well: float) -> Flood:
    """Asks so many times a second for so many seconds, then one after the other until it is answered within `well`
    seconds."""
    clients, flood = _Clients(host, port), Flood()
    began, sent = time.perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        while (elapsed := time.perf_counter() - began) < seconds:
            while sent < elapsed * rate:
                group.create_task(clients.ask(ask, flood))
                sent += 1
            await asyncio.sleep(_STEP_SECONDS)
        group.create_task(_recover(Client(host, port), ask, well, flood))
    clients.close()
    return flood


async def _recover(client: Client, ask: Ask, well: float, flood: Flood) -> None:
    ended = time.perf_counter()
    while True:
        try:
            if await ask(client) <= well:
                break
        except AnswerWrong:
            await asyncio.sleep(_STEP_SECONDS)
    flood.recovered_after = time.perf_counter() - ended
    client.close()


def saying(text: str) -> Ask:
    """In a new conversation each time."""
    return lambda client: client.say(text, uuid4().hex)


def starting(workflow_id: str) -> Ask:
    """A new execution each time."""
    return lambda client: client.start(workflow_id)


async def answer(command: Command) -> Any:
    text, workflow_id = command.pop("text", None), command.pop("workflow_id", "")
    ask = starting(workflow_id) if text is None else saying(text)
    return asdict(await overload(ask=ask, **command))


if __name__ == "__main__":
    asyncio.run(answer_commands(answer))
