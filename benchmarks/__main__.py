"""Runs the benchmarks that are named, or all, and prints the table.

python -m benchmarks [NAME ...] [--rounds N] [--list]
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory

from benchmarks import rows
from benchmarks.bench import Bench
from benchmarks.report import Row, markdown
from groundwork.postgres.embedded import open_embedded

NAMES = sorted(module.name for module in iter_modules(rows.__path__))


async def run(names: Sequence[str], rounds: int | None) -> None:
    # As an agent without a DSN has it: a server that makes sure of each commit, as those that people run do.
    with TemporaryDirectory(prefix="bench-") as directory:
        async with open_embedded(Path(directory) / "postgres") as dsn:
            bench = Bench(dsn, rounds=rounds)
            found: list[Row] = []
            for name in names:
                started = time.monotonic()
                bench.say(f"\n{name}")
                found += await import_module(f"benchmarks.rows.{name}").run(bench)
                bench.say(f"  ({time.monotonic() - started:.0f} s)")
            bench.say(f"\n{bench.noise}\n\n{markdown(found)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what the software costs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, help="how many rounds to measure instead of the usual number")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and what they measure")
    given = parser.parse_args()
    if given.list:
        for name in NAMES:
            told = (import_module(f"benchmarks.rows.{name}").__doc__ or "").partition("\n")[0]
            print(f"{name:<12} {told}")
        return 0
    if unknown := [name for name in given.names if name not in NAMES]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    asyncio.run(run(given.names or NAMES, given.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
