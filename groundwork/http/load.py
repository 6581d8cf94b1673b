"""How much is done at once: what comes beyond that is refused at once, so that what was let in is done in time."""

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.bounds import OWNERS_SHARE
from groundwork.postgres.pool import Pool

RETRY_SECONDS = 1
"""When to try again; whoever is refused has cost nearly nothing, so soon is fine."""

ANSWER_SECONDS = 300.0
"""What takes longer waits for something that does not come, a lock for example, and holds up others."""


LONGEST_WAIT_SECONDS = 2.0
"""When connections are waited for longer, it has to get better first: after five seconds a wait is given up."""

_LOOK_SECONDS = 0.25
_FORGET_SECONDS = 5.0
_ALONE_SECONDS = 3600.0


class Busy(Exception):
    """As much as can be done at once is being done."""

    headers: Mapping[str, str] = {"Retry-After": str(RETRY_SECONDS)}

    def __init__(self) -> None:
        super().__init__(f"there is too much to do at the moment; try again in {RETRY_SECONDS} second")


class ConnectionQueue:
    """Those who wait for a connection. They do when anything that they need is short: connections, the database
    itself, or our own time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._looked_at = 0.0
        self._served = 0
        self._waited_ms = 0
        self._stands_since: float | None = None
        self._is_too_long = False

    @property
    def is_too_long(self) -> bool:
        """Whether those who were served lately had waited so long that there is no use in letting more in."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._look(now)
        return self._is_too_long

    def _look(self, now: float) -> None:
        stats = self._pool.get_stats()
        waiting, waited_ms = stats.get("requests_waiting", 0), stats.get("requests_wait_ms", 0)
        served = stats.get("requests_queued", 0) - waiting
        recent = served - self._served
        is_recent = now - self._looked_at < _FORGET_SECONDS
        # Whoever waits now, but did not at the last look, may have come just now.
        if recent or self._stands_since is None or not is_recent:
            self._stands_since = now
        average = (waited_ms - self._waited_ms) / 1000 / recent if recent else now - self._stands_since
        self._is_too_long = waiting > 0 and is_recent and average > LONGEST_WAIT_SECONDS
        self._looked_at, self._served, self._waited_ms = now, served, waited_ms
        if not waiting:
            self._stands_since = None


class Load:
    """What is going on at the moment: `most` of it at a time, and no more while the line for `pool` is too long.

    `refused` is how much was not let in so far."""

    def __init__(self, most: int, pool: Pool | None = None) -> None:
        self.most = most
        self._line = None if pool is None else ConnectionQueue(pool)
        self.now = 0
        self.refused = 0
        self._by_owner: Counter[str] = Counter()
        self._seen_at: OrderedDict[str, float] = OrderedDict()

    @property
    def is_full(self) -> bool:
        """Whether nobody is let in at the moment, whoever asks."""
        return self.now >= self.most or (self._line is not None and self._line.is_too_long)

    def enter(self, owner: str | None = None) -> None:
        """Raises `Busy`, also when the `owner` has its share; else `leave` has to follow, once."""
        has_its_share = owner is not None and self._has_its_share(owner)
        if has_its_share or self.is_full:
            self.refused += 1
            raise Busy
        self.now += 1
        if owner is not None:
            self._by_owner[owner] += 1

    def _has_its_share(self, owner: str) -> bool:
        """Whether others may need the rest. Whoever has been alone for an hour has everything."""
        now = time.monotonic()
        self._seen_at[owner] = now
        self._seen_at.move_to_end(owner)
        while now - next(iter(self._seen_at.values())) > _ALONE_SECONDS:
            self._seen_at.popitem(last=False)
        return len(self._seen_at) > 1 and self._by_owner[owner] >= math.ceil(self.most * OWNERS_SHARE)

    def leave(self, owner: str | None = None) -> None:
        self.now -= 1
        if owner is not None:
            self._by_owner[owner] -= 1
            self._by_owner += Counter()  # forgets those of whom nothing is left

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Raises `Busy`."""
        self.enter()
        try:
            yield
        finally:
            self.leave()


class LoadLimit:
    """Lets as many requests in as `load` allows.

    One counts from when it is there as a whole until its answer begins: neither a body that is slow to come nor an
    answer that is slow to be read, such as a stream, keeps others out.

    `owner_of` says whose request it is, of those who have a share.
    `counts` says which requests this holds for, `answer_to` what is answered to `Busy`, and to the `TimeoutError`
    of one that was not answered within five minutes.
    """

    def __init__(
        self,
        app: ASGIApp,
        load: Load,
        counts: Callable[[Scope], bool],
        answer_to: Callable[[Exception], Response],
        owner_of: Callable[[Scope], str | None] = lambda scope: None,
    ) -> None:
        self.app = app
        self.owner_of = owner_of
        self.load = load
        self.counts = counts
        self.answer_to = answer_to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.counts(scope):
            await self.app(scope, receive, send)
            return
        if has_body(scope):
            receive = await _arrived(receive)
        owner = self.owner_of(scope)
        try:
            self.load.enter(owner)
        except Busy as busy:
            await self.answer_to(busy)(scope, receive, send)
            return
        await _Turn(self, send, owner).run(scope, receive)


class _Turn:
    """One request that was let in."""

    def __init__(self, limit: LoadLimit, send: Send, owner: str | None) -> None:
        self._owner = owner
        self._limit = limit
        self._send = send
        self._timeout = asyncio.timeout(ANSWER_SECONDS)
        self._answering = False

    async def run(self, scope: Scope, receive: Receive) -> None:
        try:
            async with self._timeout:
                await self._limit.app(scope, receive, self.send)
        except TimeoutError as error:
            if self._answering or not self._timeout.expired():
                raise
            await self._limit.answer_to(error)(scope, receive, self._send)
        finally:
            if not self._answering:
                self._limit.load.leave(self._owner)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._answering = True
            self._timeout.reschedule(None)
            self._limit.load.leave(self._owner)
        await self._send(message)


def has_body(scope: Scope) -> bool:
    """Return whether the request says that it has a body."""
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


async def _arrived(receive: Receive) -> Receive:
    """Waits for the whole body, and gives it as it came. It is bounded by what stands before."""
    messages, more = [], True
    while more:
        messages.append(message := await receive())
        more = message["type"] == "http.request" and message.get("more_body", False)
    messages.reverse()

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
