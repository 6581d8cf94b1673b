"""Loops over rows of many owners: what goes wrong with one row costs nobody else."""

import logging
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from groundwork.postgres.pool import DatabaseUnavailable

_FIRST_PAUSE_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 3600.0
_MOST_REMEMBERED = 10_000

# What says that a statement was given up, and nothing about the connection: 40 rolled back, 53 and 54 too much for
# the server, 55 not in the right state, 57014 cancelled.
_ABOUT_A_STATEMENT = ("40", "54", "55", "57014")


@dataclass
class _Failure:
    pause: float
    again_at: float


class EachRow:
    """The rows that a loop handles, each in a transaction of its own.

    A row that cannot be handled is logged once, with its ids, and left alone for a minute, then for longer and
    longer, so that it neither ends the round nor fills the log, nor takes the place of rows behind it.
    """

    def __init__(self, action: str, logger: logging.Logger) -> None:
        """`action` is what the log says that failed: `ending overdue executions`."""
        self._action = action
        self._logger = logger
        self._failures: dict[Hashable, _Failure] = {}

    def resting(self) -> list[Hashable]:
        """The keys of rows that are to be left out of this round."""
        now = time.monotonic()
        return [key for key, failure in self._failures.items() if failure.again_at > now]

    @contextmanager
    def handling(self, key: Hashable, **ids: object) -> Iterator[None]:
        """Keeps what goes wrong in the block to this row; only the database's absence gets out."""
        try:
            yield
        except Exception as error:
            if is_database_away(error):
                raise
            self._note(key, ids)
        else:
            self._failures.pop(key, None)

    def _note(self, key: Hashable, ids: dict[str, object]) -> None:
        before = self._failures.pop(key, None)
        if before is None:
            named = " ".join(f"{name}={value}" for name, value in ids.items())
            self._logger.exception("%s failed %s", self._action, named)
        pause = min(2 * before.pause, _LONGEST_PAUSE_SECONDS) if before else _FIRST_PAUSE_SECONDS
        self._failures[key] = _Failure(pause, time.monotonic() + pause)
        while len(self._failures) > _MOST_REMEMBERED:
            self._failures.pop(next(iter(self._failures)))


def is_database_away(error: BaseException) -> bool:
    """Whether the next statement would fare no better, whatever row it is about."""
    if isinstance(error, DatabaseUnavailable | PoolTimeout | PoolClosed | psycopg.InterfaceError):
        return True
    if not isinstance(error, psycopg.OperationalError):
        return False
    return not (error.sqlstate or "").startswith(_ABOUT_A_STATEMENT)
