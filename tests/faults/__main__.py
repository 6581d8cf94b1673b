"""`python -m tests.faults`: faults for as long as one likes, and what must hold after each round of them."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from rich.console import Console

from tests.faults.faults import faults_in
from tests.faults.load import register_workflow
from tests.faults.report import Report
from tests.faults.rounds import close, play
from tests.faults.schedule import plan_rounds
from tests.faults.town import open_town


async def soak(directory: Path, seed: int, seconds: float, load_seconds: float, most_rounds: int | None) -> Report:
    """Ends with the first violation: what comes after it would be about something else."""
    report, began = Report(), time.monotonic()
    async with open_town(directory, own_disk=True, seed=seed) as town:
        await register_workflow(town)
        rounds = plan_rounds(seed, faults_in(town), load_seconds)
        for planned in islice(rounds, most_rounds):
            report.tell(planned.number, await play(town, planned, load_seconds))
            if report.violations or time.monotonic() - began > seconds:
                break
        report.tell_end(await close(town, [result.book for result in report.results]))
    report.print_tables((time.monotonic() - began) / 60)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rounds", type=int, help="no more than so many")
    parser.add_argument("--load-seconds", type=float, default=8, help="how long the load of a round lasts")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"seed {given.seed}; logs are in {directory}")
    report = asyncio.run(soak(directory, given.seed, given.minutes * 60, given.load_seconds, given.rounds))
    if report.violations:
        console.print(f"seed {given.seed}; the logs are kept in {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
