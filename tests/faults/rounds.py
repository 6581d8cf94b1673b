"""A round: load, some faults while it runs, and then what must hold."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
import psutil
import psycopg

from tests.faults.faults import DISTURBING, FAULTS
from tests.faults.invariants import INCURABLE, INVARIANTS, LASTING, Invariant, name_of, no_connection_is_left_over
from tests.faults.load import finish_deletions, keep_answering, keep_approving, load
from tests.faults.model import Book
from tests.faults.schedule import Planned, Round
from tests.faults.services import NotReady
from tests.faults.town import MARK, Town

RECOVERY_SECONDS = 180.0
"""For how long it is waited until it is quiet again; far more than it should take."""

_LOOK_SECONDS = 0.3
_SETTLE_SECONDS = 10.0
"""After a fault, until leases and connections are what they were."""
_NOT_YET = (httpx.HTTPError, psycopg.OperationalError, KeyError, ValueError)
"""While something recovers, answers may be missing, or say something else than what is asked for."""


@dataclass
class Result:
    """What came of a round. `violated`: what was seen, by the invariant."""

    book: Book
    faults: tuple[str, ...]
    checked: list[str] = field(default_factory=list)
    violated: dict[str, list[str]] = field(default_factory=dict)
    recovery_seconds: float = 0.0


async def play(town: Town, round_: Round, seconds: float, recovery_seconds: float = RECOVERY_SECONDS) -> Result:
    """Nothing is repeated and nothing forgiven: what does not hold in time is in the result."""
    result = Result(Book(), tuple(fault.kind for fault in round_.faults))
    async with _approving(town, result.book):
        async with _working(town, result.book, round_.seed), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(seconds))
            for fault in round_.faults:
                group.create_task(_inject(town, result.book, fault))
        healed = time.monotonic()
        await _recover(town, result, healed + recovery_seconds)
        result.recovery_seconds = time.monotonic() - healed
    return result


async def _inject(town: Town, book: Book, fault: Planned) -> None:
    await asyncio.sleep(fault.after)
    began = time.time()
    await FAULTS[fault.kind](town, random.Random(fault.seed))
    if fault.kind in DISTURBING:
        book.disturbed.append((began, time.time() + _SETTLE_SECONDS))


async def _recover(town: Town, result: Result, deadline: float) -> None:
    try:
        await town.all_ready()
        async with asyncio.timeout(max(1, deadline - time.monotonic())):
            await finish_deletions(town, result.book)
    except* (NotReady, TimeoutError) as errors:
        result.violated["everything comes up again"] = [str(error) for error in errors.exceptions]
    for invariant in INVARIANTS:
        await check(town, result, invariant, deadline)


async def check(town: Town, result: Result, invariant: Invariant, deadline: float) -> None:
    """Looks until it holds, or the time is over."""
    name = name_of(invariant)
    result.checked.append(name)
    while True:
        try:
            seen, curable = await invariant(town, result.book), invariant not in INCURABLE
        except _NOT_YET as error:
            seen, curable = [f"{type(error).__name__}: {error}"], True
        if not seen:
            return
        if not curable or time.monotonic() > deadline:
            result.violated[name] = seen
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def close(town: Town, books: Iterable[Book]) -> Result:
    """Looks once more at what was promised in all rounds, tells everybody to go, and looks what is left."""
    books = list(books)
    everything = Book(
        conversations=[each for book in books for each in book.conversations],
        doomed={each for book in books for each in book.doomed},
        deleted={each for book in books for each in book.deleted},
        executions=[each for book in books for each in book.executions],
        orders=[each for book in books for each in book.orders],
        disturbed=[each for book in books for each in book.disturbed],
    )
    result = Result(everything, ())
    deadline = time.monotonic() + 30
    for invariant in LASTING:
        await check(town, result, invariant, deadline)
    await town.stop()
    for invariant in (everybody_leaves_well, no_connection_is_left_over, no_process_is_left_over):
        await check(town, result, invariant, time.monotonic() + 30)
    return result


async def everybody_leaves_well(town: Town, book: Book) -> list[str]:
    return [f"{each.name}: {each.statuses[-1:]}" for each in town.services if each.statuses[-1:] != [0]]


async def no_process_is_left_over(town: Town, book: Book) -> list[str]:
    return [f"{process.pid}: {process.cmdline()}" for process in started_by(town.mark)]


def started_by(mark: str) -> list[psutil.Process]:
    """The services and their children, wherever they have gone."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended meanwhile, or is somebody else's
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


@asynccontextmanager
async def _working(town: Town, book: Book, seed: int) -> AsyncIterator[None]:
    """Those who make the load; one that falls down in an unexpected way takes the round with it."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(worker(town, book, random.Random(seed + number)))
            for number, worker in enumerate(load())
        ]
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _approving(town: Town, book: Book) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(keep(town, book)) for keep in (keep_approving, keep_answering)]
        yield
        for task in tasks:
            task.cancel()
