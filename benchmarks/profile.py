"""Keeps an agent busy and says where its time goes.

    python -m benchmarks.profile [--durability exit] [--concurrent 8] [--seconds 15] [--output profile.txt]

Needs py-spy (`pip install py-spy`), which samples the agent from outside. The stacks are written to the output,
for https://www.speedscope.app and the like; the table says how much of the time a function was on the stack.
"""

import argparse
import asyncio
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bench import Bench
from benchmarks.rows.turns import TEXT
from benchmarks.served import running_agent
from benchmarks.subject import running_subject
from groundwork.postgres.embedded import open_embedded

LEAST_SHARE = 0.05


async def profile(durability: str, concurrent: int, seconds: float, output: Path) -> None:
    with TemporaryDirectory(prefix="bench-") as directory:
        async with open_embedded(Path(directory) / "postgres") as dsn:
            bench = Bench(dsn)
            async with (
                bench.database() as database,
                running_agent(database, checkpoint_durability=durability) as agent,
                running_subject("benchmarks.load") as load,
            ):
                say = {
                    "do": "many",
                    "host": agent.host,
                    "port": agent.port,
                    "concurrent": concurrent,
                    "text": TEXT,
                }
                await load.ask(**say, seconds=2)
                command = ["py-spy", "record", "--nonblocking", "--format", "raw", "--rate", "200"]
                command += ["--duration", str(round(seconds)), "--pid", str(agent.pid), "--output", str(output)]
                sampling = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
                answer = await load.ask(**say, seconds=seconds + 1)
                await sampling.wait()
                print(f"{len(answer['latencies']) / answer['seconds']:.0f} turns/s while it was sampled")


def tell(stacks: Iterable[str]) -> None:
    inclusive: Counter[str] = Counter()
    total = 0
    for line in stacks:
        stack, _, times = line.rpartition(" ")
        if not times.isdigit():
            continue  # the name of a function may be so odd that py-spy takes two lines for it
        total += int(times)
        for frame in {_without_line(frame) for frame in stack.split(";")}:
            inclusive[frame] += int(times)
    print(f"{total} samples\n\n| share | in |\n|---|---|")
    for frame, count in inclusive.most_common():
        if count / total < LEAST_SHARE:
            break
        print(f"| {count / total:.0%} | {frame} |")


def _without_line(frame: str) -> str:
    """`run (langgraph/pregel/main.py:12)` without the line's number."""
    return frame.rpartition(":")[0] + ")" if frame.endswith(")") and ":" in frame else frame


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--durability", default="async", choices=["sync", "async", "exit"])
    parser.add_argument("--concurrent", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--output", type=Path, default=Path("profile.txt"))
    given = parser.parse_args()
    asyncio.run(profile(**vars(given)))
    tell(given.output.read_text().splitlines())
