"""`registry` and `python -m registry`. Signals first: what follows takes a second to import."""

import sys

from groundwork.process.signals import end_at_signals


def main() -> None:
    """Entry point."""
    if sys.argv[1:2] in (["serve"], ["worker"]):
        end_at_signals()
    from registry.cli.main import main as run

    run()


def serve_for_jamjet() -> None:
    """Entry point of `jamjet-server`, which `jamjet dev` starts, with settings and no arguments."""
    end_at_signals()
    from registry.cli.main import serve_for_jamjet as run

    run()


if __name__ == "__main__":
    main()
