"""`agent-runtime` and `python -m agent_runtime`. Signals first: what follows takes a second to import."""

import sys

from groundwork.process.signals import end_at_signals


def main() -> None:
    """Entry point."""
    if sys.argv[1:2] == ["serve"]:
        end_at_signals()
    from agent_runtime.command.cli import main as run

    run()


if __name__ == "__main__":
    main()
