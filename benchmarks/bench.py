"""What a benchmark is given: a database, rounds to be measured in, and somebody to tell."""

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from statistics import median
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from rich.console import Console

from benchmarks.noise import Noise
from benchmarks.report import show

Measure = Callable[[], Awaitable[float]]
"""Does the work once and returns the figure."""


@dataclass(frozen=True)
class Samples:
    """The figures of each variant, one per round; those of one round were taken side by side."""

    of: Mapping[str, Sequence[float]]

    def ratios(self, variant: str, yardstick: str) -> list[float]:
        """The variant's figure divided by the yardstick's, round by round."""
        return [mine / theirs for mine, theirs in zip(self.of[variant], self.of[yardstick], strict=True)]

    def differences(self, variant: str, yardstick: str) -> list[float]:
        """The variant's figure less the yardstick's, round by round."""
        return [mine - theirs for mine, theirs in zip(self.of[variant], self.of[yardstick], strict=True)]


class Bench:
    """One run of the benchmarks, on one PostgreSQL server that they have for themselves."""

    def __init__(self, server_dsn: str, *, rounds: int | None = None) -> None:
        """`rounds` is how many to measure, whatever a benchmark thinks is enough."""
        self._server_dsn = server_dsn
        self._rounds = rounds
        self._console = Console(highlight=False)
        self.noise = Noise()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Shows what is being done, to whoever sits before a terminal."""
        if not (self._console.is_terminal and sys.stdout.isatty()):
            yield
            return
        with self._console.status(doing):
            yield

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The DSN of a new, empty database, which is gone with the block."""
        name = f"bench_{uuid4().hex[:12]}"
        await self._administer("CREATE DATABASE {}", name)
        try:
            yield make_conninfo(self._server_dsn, dbname=name)
        finally:
            await self._administer("DROP DATABASE {} WITH (FORCE)", name)

    def wanted_rounds(self, usual: int) -> int:
        """How many rounds to measure, where a benchmark thinks that so many are enough."""
        return self._rounds or usual

    async def rounds(
        self, variants: Mapping[str, Measure], *, rounds: int = 5, unit: str = "", warm_up: bool = True
    ) -> Samples:
        """Measures the variants in turn, again and again, so that whatever disturbs the machine disturbs all.

        The order is reversed in every other round. A first round is thrown away, with `warm_up`.
        """
        figures: dict[str, list[float]] = {name: [] for name in variants}
        wanted = self.wanted_rounds(rounds)
        for number in range(-1 if warm_up else 0, wanted):
            names = list(variants)[:: 1 if number % 2 else -1]
            for name in names:
                self.noise.listen()
                with self.busy(f"round {number + 1} of {wanted}: {name}"):
                    figure = await variants[name]()
                if number >= 0:
                    figures[name].append(figure)
        self.noise.listen()
        for name, values in figures.items():
            self._tell(name, values, unit)
        return Samples(figures)

    def _tell(self, name: str, values: Sequence[float], unit: str) -> None:
        spread = f"{show(min(values), unit)} to {show(max(values), unit)}"
        self.say(f"  {name:<44} {show(median(values), unit):>16}   {spread}")

    async def _administer(self, statement: str, name: str) -> None:
        async with await psycopg.AsyncConnection.connect(self._server_dsn, autocommit=True) as conn:
            await conn.execute(sql.SQL(statement).format(sql.Identifier(name)))


def seconds_since(started: float) -> float:
    return time.perf_counter() - started
