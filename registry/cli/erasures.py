"""`registry erasures`: what was asked to be forgotten, in a registry that runs, here or elsewhere."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from groundwork.output import AsJson, show, show_one

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

app = typer.Typer(help="Erasures of a running registry and its agents.", no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option("--url", help="The registry, if not the one that the settings name.", show_default=False),
]
ErasureId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]

_COLUMNS = ("erasure_id", "status", "created_at", "completed_at", "waiting_for")


@app.command()
def request(
    caller: Annotated[str | None, typer.Option(help="Whose words.", show_default=False)] = None,
    thread: Annotated[
        list[str] | None, typer.Option("--thread", help="A thread or an execution, by its id; may be repeated.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what the registry holds, erase nothing.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Erase what a caller has said, or threads, here and at every agent."""
    body = {"caller": caller, "thread_ids": thread or []}
    path = "/erasures?dry_run=true" if dry_run else "/erasures"
    show_one(_call(url, lambda registry: registry.post(path, body)), as_json=as_json)


@app.command("list")
def list_erasures(url: Url = None, as_json: AsJson = False) -> None:
    """List the latest erasures, and whom they wait for."""
    answer = _call(url, lambda registry: registry.get("/erasures"))
    show(answer, answer.get("erasures", []), _COLUMNS, as_json=as_json)


@app.command()
def inspect(erasure_id: ErasureId, url: Url = None, as_json: AsJson = False) -> None:
    """Show what an erasure has removed, by table and agent."""
    show_one(_call(url, lambda registry: registry.get(_path(erasure_id))), as_json=as_json)


@app.command()
def confirm(
    erasure_id: ErasureId,
    agent: Annotated[str, typer.Option(help="The agent that was looked after by hand.", show_default=False)],
    part: Annotated[int, typer.Option(min=0, help="Which part, where there are several.")] = 0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Say that an agent which does not ask the registry itself, or is no more, holds nothing of it any longer."""
    receipt = {"agent_id": agent, "part": part}
    show_one(_call(url, lambda registry: registry.post(_path(erasure_id, "receipts"), receipt)), as_json=as_json)


def _path(erasure_id: str, *more: str) -> str:
    return "/".join(("/erasures", quote(erasure_id, safe=""), *more))


def _call(url: str | None, ask: "Callable[[RegistryCalls], Awaitable[dict[str, Any]]]") -> dict[str, Any]:
    from registry.cli.client import call

    return call(url, ask)
