"""Who follows which turn in this process, and how they hear what happens to it, here or on another replica.

Turns go by their task ids. What happens to one are items, each with a version, one after the other.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from groundwork.postgres.pool import Connection, DatabaseUnavailable, Pool, connection

logger = logging.getLogger(__name__)

MOST_WAITING_EVENTS = 256
"""A follower further behind than this reads the rest from the database, when it gets there."""

_POLL_SECONDS = 0.15
_QUIET_POLL_SECONDS = 1.0
_QUIET_AFTER_SECONDS = 30.0
_LOCAL_POLL_SECONDS = 2.0


class Item(Protocol):
    """Something that happened to a turn. Nothing in it may be changed: followers share it."""

    @property
    def version(self) -> int: ...

    @property
    def is_all(self) -> bool:
        """Whether nothing else is, or ever will be, stored of the turn."""
        ...


ItemT = TypeVar("ItemT", bound=Item)


@dataclass(frozen=True)
class News(Generic[ItemT]):
    """What a follower has missed of what is stored at `stored_version`."""

    stored_version: int
    events: tuple[ItemT, ...]


class Source(Protocol[ItemT]):
    """Where a feed reads what happened, for turns that run elsewhere and followers that have fallen behind."""

    async def read_news(self, conn: Connection, seen: Mapping[str, int]) -> Mapping[str, News[ItemT]]:
        """What is there after the versions in `seen`; what is gone is not in the answer."""
        ...

    async def read_after(self, task_id: str, seen: int) -> Sequence[ItemT] | None:
        """What happened after `seen`: the items, or, where those are not there, what they have led to, all of
        which has one version. `None` when the turn's account is gone."""
        ...

    def gone(self) -> Exception:
        """What a follower is told of by raising it, when what it follows is gone."""
        ...


class FeedClosed(Exception):
    """The process shuts down, and nobody can follow anything here any more."""


class Follower(Generic[ItemT]):
    """One reader of what happens to a task from the version after `seen` on, in order: each event once, or, where
    events are not there any more, what they have led to, all of which has one version."""

    def __init__(self, feed: "Feed[ItemT]", task_id: str, seen: int) -> None:
        self.task_id = task_id
        self.newest = seen
        self.next_poll_at = 0.0
        self.watched = False
        self._seen = seen
        self._feed = feed
        self._items: deque[ItemT] = deque()
        self._wake = asyncio.Event()
        self._behind = False
        self._times_missing = 0
        self._news_at = 0.0

    def start_at(self, version: int) -> None:
        """The reader has the task as of `version` from elsewhere."""
        self._items = deque(item for item in self._items if item.version > version)
        self._seen = max(self._seen, version)
        self.newest = max(self.newest, version)

    def watch(self) -> None:
        """From now on the task is in the database; its absence would mean that it was deleted."""
        self._news_at = asyncio.get_running_loop().time()
        self.next_poll_at = self._news_at + self.poll_seconds(self._news_at)
        self.watched = True
        self._feed.watched.set()

    async def next(self, timeout: float | None = None) -> ItemT | None:
        """The next event; `None` when `timeout` seconds bring none.

        Raises what the source says once the task is gone, `FeedClosed` at shutdown, `DatabaseUnavailable`.
        """
        while True:
            if self._items:
                item = self._items.popleft()
                self._seen = item.version
                return item
            if self._feed.closed:
                raise FeedClosed
            if self._times_missing > 1:
                raise self._feed.source.gone()
            if self._behind:
                await self._catch_up()
                continue
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                return None

    def offer(self, items: Sequence[ItemT]) -> None:
        """Takes what is new; what does not follow on what is known will be read from the database."""
        for item in items:
            if item.version <= self.newest:
                continue
            if item.is_all:
                # There is nothing that could be read instead.
                self._behind = False
            elif self._behind or item.version > self.newest + 1 or len(self._items) >= MOST_WAITING_EVENTS:
                self._behind = True
                break
            self.newest = item.version
            self._items.append(item)
        self._news_at = asyncio.get_running_loop().time()
        self.wake()

    def fall_behind(self) -> None:
        self._behind = True
        self.wake()

    def missing(self) -> None:
        """The task was not in the database. Once may be the moment before its last word is announced."""
        self._times_missing += 1
        self.wake()

    def present(self) -> None:
        self._times_missing = 0

    def wake(self) -> None:
        self._wake.set()

    def poll_seconds(self, now: float) -> float:
        if self._feed.runs_here(self.task_id):
            return _LOCAL_POLL_SECONDS
        return _QUIET_POLL_SECONDS if now - self._news_at > _QUIET_AFTER_SECONDS else _POLL_SECONDS

    async def _catch_up(self) -> None:
        self._behind = False
        items = await self._feed.source.read_after(self.task_id, self._seen)
        if items is None:
            self.missing()
            return
        known = self.newest  # what leads there in place of events has one version
        for item in items:
            if item.version > known:
                self._items.append(item)
                self.newest = item.version


class Feed(Generic[ItemT]):
    """Hands events of this process's turns to their followers, and fetches the others' from the database.

    One loop asks for all followed tasks together, and nobody holds a connection while waiting.
    """

    def __init__(self, pool: Pool, source: Source[ItemT], runs_here: Callable[[str], bool]) -> None:
        self._pool = pool
        self.source = source
        self._followers: dict[str, list[Follower[ItemT]]] = {}
        self.runs_here = runs_here
        self.watched = asyncio.Event()
        self.closed = False

    @contextmanager
    def follow(self, task_id: str, seen: int = 0) -> Iterator[Follower[ItemT]]:
        """Follows a task from the version after `seen`; call `watch` once it is in the database."""
        follower = Follower(self, task_id, seen)
        self._followers.setdefault(task_id, []).append(follower)
        try:
            yield follower
        finally:
            followers = self._followers[task_id]
            followers.remove(follower)
            if not followers:
                del self._followers[task_id]

    def is_followed(self, task_id: str) -> bool:
        """Whether somebody follows the task in this process."""
        return task_id in self._followers

    def publish(self, task_id: str, items: Sequence[ItemT]) -> None:
        """Tells the followers in this process what has been committed."""
        for follower in self._followers.get(task_id, ()):
            follower.offer(items)

    def hurry(self, task_id: str) -> None:
        """Something happened to the task elsewhere: it is looked up at once."""
        for follower in self._followers.get(task_id, ()):
            follower.next_poll_at = 0.0
            self.watched.set()

    def close(self) -> None:
        """Ends the wait of every follower."""
        self.closed = True
        for followers in self._followers.values():
            for follower in followers:
                follower.wake()

    async def poll(self) -> None:
        """The loop that looks for what others have written about followed tasks."""
        while True:
            await self.watched.wait()
            if not any(follower.watched for follower in self._all()):
                self.watched.clear()
                continue
            try:
                await self._poll_once()
            except DatabaseUnavailable as error:
                logger.warning("polling followed tasks failed: %s", error)
                await asyncio.sleep(_QUIET_POLL_SECONDS)
            await asyncio.sleep(_POLL_SECONDS)

    async def _poll_once(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [follower for follower in self._all() if follower.watched and follower.next_poll_at <= now]
        if not due:
            return
        seen: dict[str, int] = {}
        for follower in due:
            follower.next_poll_at = now + follower.poll_seconds(now)
            seen[follower.task_id] = min(follower.newest, seen.get(follower.task_id, follower.newest))
        async with connection(self._pool) as conn:
            found = await self.source.read_news(conn, seen)
        for follower in due:
            self._bring(follower, found.get(follower.task_id))

    def _bring(self, follower: Follower[ItemT], news: News[ItemT] | None) -> None:
        if news is None:
            follower.missing()
            return
        follower.present()
        if news.events:
            follower.offer(news.events)
        elif news.stored_version > follower.newest:
            follower.fall_behind()

    def _all(self) -> list[Follower[ItemT]]:
        return [follower for followers in self._followers.values() for follower in followers]


def follows(news: News[ItemT], seen: int) -> bool:
    """Return whether `news` goes on where `seen` ends."""
    if not news.events:
        return news.stored_version <= seen
    return news.events[0].version == seen + 1
