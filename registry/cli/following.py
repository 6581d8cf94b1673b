"""Following an execution from the command line until it has ended."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from registry.cli.client import RefusedForNow, RegistryNotReached
from registry.cli.timeline import Timeline, draw, write

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

ENDED = ("completed", "failed", "cancelled", "limit_exceeded")

_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.5


def path_of(execution_id: str, *more: str) -> str:
    return "/".join(["/executions", quote(execution_id, safe="", errors="surrogateescape"), *more])


async def follow(registry: "RegistryCalls", execution_id: str) -> AsyncIterator[dict[str, Any]]:
    """The events of an execution until it has ended, each once, however often the connection breaks meanwhile.

    Raises `CallRefused`, and `RegistryNotReached` when the registry is not there, or is gone for half a minute.
    """
    after, reached_at = 0, None
    while True:
        try:
            async for event in registry.stream(
                path_of(execution_id, "events"), {"stream": "true", "after": str(after)}
            ):
                after, reached_at = event["sequence"], time.monotonic()
                yield event
            execution = await registry.get(path_of(execution_id))
            reached_at = time.monotonic()
            if execution["status"] in ENDED:
                rest = await registry.get(path_of(execution_id, "events"), {"after": str(after)})
                for event in rest["events"]:
                    yield event
                return
        except (RegistryNotReached, RefusedForNow):
            if reached_at is None or time.monotonic() - reached_at > _PATIENCE_SECONDS:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)


class Progress:
    """Shows events as they come in, a line for each; on a terminal, and only there, something moves meanwhile."""

    def __init__(self, console: Console, turning: Status | None) -> None:
        self._console = console
        self._turning = turning
        self._timeline = Timeline()

    def show(self, event: Mapping[str, Any]) -> None:
        line = self._timeline.line(event)
        if self._turning is None:
            typer.echo(write(line))
            return
        self._console.print(draw(line), no_wrap=True, overflow="ellipsis")
        if line.tone != "quiet":
            self._turning.update(Text(f"{line.name} {line.text}".strip(), style="dim"))


@contextmanager
def progress() -> Iterator[Progress]:
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        with console.status(Text("…", style="dim")) as turning:
            yield Progress(console, turning)
    else:
        yield Progress(console, None)
