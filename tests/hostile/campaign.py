"""Many hostile requests to a running service, and what became of them."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.hostile.client import Answer, Connection, NoAnswer, Request
from tests.hostile.inputs import Source

INSIDES = (b"Traceback", b'File "', b"psycopg", b"SELECT ", b"INSERT ", b"site-packages")
"""What only code of ours, of Python or of the database would say."""

_SHOWN = 20


@dataclass
class Tally:
    """How many requests were answered with which status, and what should not have been."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.statuses.total()

    def note(self, request: Request, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        if problem := _problem(request, answer):
            self.wrong.append(f"{problem}: {request} -> {answer.body[:300]!r}"[:2000])

    def __str__(self) -> str:
        told = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return "\n".join([f"{self.requests} requests ({told}), {len(self.wrong)} wrong", *self.wrong[:_SHOWN]])


async def attack(
    port: int, source: Source, requests: int, *, at_once: int = 4, progress: Callable[[int], None] = lambda n: None
) -> Tally:
    """Sends so many requests, some at the same time."""
    tally, left = Tally(), iter(range(requests))

    async def work() -> None:
        connection = Connection(port)
        for number in left:
            request = source.draw()
            try:
                answer = await connection.ask(request)
            except NoAnswer as nothing:
                tally.statuses[0] += 1
                tally.wrong.append(f"no answer: {nothing}: {request}"[:2000])
                continue
            source.learn(answer)
            tally.note(request, answer)
            progress(number)
        await connection.close()

    await asyncio.gather(*(work() for _ in range(at_once)))
    return tally


def _problem(request: Request, answer: Answer) -> str:
    """Why the answer is not one that the contract has; empty when it is."""
    if answer.status >= 500 and not _is_explained(request, answer):
        return f"a {answer.status}"
    if any(word in answer.body for word in INSIDES) and not any(word in request.body for word in INSIDES):
        return "insides"
    if b"-32603" in answer.body and b'"error"' in answer.body and not _says_version(answer):
        return "an internal error"
    return ""


def _is_explained(request: Request, answer: Answer) -> bool:
    """An agent to be discovered that gives no answer is a 502; who is busy says when to come back."""
    if answer.status == 502:
        return request.name == "POST /agents/discover"
    return answer.status == 503 and "retry-after" in answer.headers


def _says_version(answer: Answer) -> bool:
    """What the SDK says to a method of 0.3 under another version: 0.3 has no code for it."""
    try:
        said = json.loads(answer.body.partition(b"data:")[2] or answer.body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return False
    return "Expected version" in str(said)
