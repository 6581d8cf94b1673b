"""`registry usage`: what agents and executions have used."""

from typing import Annotated

import typer

from groundwork.output import AsJson, show
from registry.cli.agents import Url

_TURNS = ("turns", "failed", "model_calls", "tool_calls", "input_tokens", "cached_tokens", "output_tokens", "cost")
_EXECUTIONS = ("executions", "executions_failed", "execution_tokens", "execution_cost", "execution_seconds")
_COLUMNS = {"agent": _TURNS, "day": (*_TURNS, *_EXECUTIONS), "workflow": _EXECUTIONS}


def usage(
    by: Annotated[str, typer.Option(help="agent, day or workflow.")] = "agent",
    since: Annotated[
        str | None, typer.Option(help="A day, such as 2026-12-01.", show_default="30 days ago")
    ] = None,
    until: Annotated[str | None, typer.Option(help="A day, not included.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many: the last days, or who used most.")] = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show what turns of agents and executions have used, and what that costs."""
    from registry.cli.client import call

    given = {"by": by, "since": since, "until": until, "limit": str(limit)}
    query = {name: value for name, value in given.items() if value is not None}
    found = call(url, lambda registry: registry.get("/usage", query))
    rows = [{by: group["key"], **group} for group in found["usage"]] + [{by: "total", **found["total"]}]
    show(found, rows, (by, *_COLUMNS[by]), as_json=as_json)
