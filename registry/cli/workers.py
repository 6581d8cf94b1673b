"""`registry workers`: who runs executions."""

import typer

from groundwork.output import AsJson, show
from registry.cli.agents import Url

app = typer.Typer(help="Workers of a running registry.", no_args_is_help=True)

_COLUMNS = ("worker_id", "status", "queue_types", "in_hand", "started_at", "last_seen")


@app.callback()
def workers() -> None:
    """Workers of a running registry."""


@app.command("list")
def list_workers(url: Url = None, as_json: AsJson = False) -> None:
    """List the workers that live, with what they have in hand."""
    from registry.cli.client import call

    answer = call(url, lambda registry: registry.get("/workers"))
    show(answer, answer["workers"], _COLUMNS, as_json=as_json)
