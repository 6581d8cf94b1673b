"""`registry keys`: what the registry signs its calls of agents with."""

import typer

from groundwork.output import AsJson, show_one
from registry.cli.agents import Url

app = typer.Typer(help="Keys of a running registry.", no_args_is_help=True)


@app.callback()
def keys() -> None:
    """Keys of a running registry."""


@app.command()
def rotate(url: Url = None, as_json: AsJson = False) -> None:
    """Sign with a new key from now on."""
    from registry.cli.client import call

    show_one(call(url, lambda registry: registry.post("/keys/rotate")), as_json=as_json)
