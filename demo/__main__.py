"""`python -m demo`."""

import argparse
import signal
import sys
from types import FrameType

from demo.console import Screen
from demo.show import run_demo
from demo.steps import STEPS


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Start a registry, scaffold an agent, walk through its whole API, and run a workflow with it.",
    )
    parser.add_argument("--once", action="store_true", help="end after the tour, on a terminal too")
    arguments = parser.parse_args()
    _tidy_up_when_told_to_stop()
    attended = sys.stdin.isatty() and sys.stdout.isatty()
    return run_demo(Screen(), STEPS, stay=attended and not arguments.once)


def _tidy_up_when_told_to_stop() -> None:
    """Turns a request to end into an exception, so that the agent and its files go first, as with Ctrl-C."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # under nohup it stays ignored
            signal.signal(number, leave)


if __name__ == "__main__":
    sys.exit(main())
