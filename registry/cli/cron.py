"""`registry cron`: workflows that a running registry starts by the clock."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from groundwork.output import AsJson, show, show_one
from registry.cli.agents import Url
from registry.cli.executions import read_input

app = typer.Typer(help="Workflows that a running registry starts by the clock.", no_args_is_help=True)

_COLUMNS = (
    *("name", "cron_expression", "time_zone", "workflow_id", "enabled", "next_run_at", "last_run_at"),
    *("last_execution_id", "last_error"),
)


@app.command("list")
def list_jobs(url: Url = None, as_json: AsJson = False) -> None:
    """List cron jobs, and how it went the last time."""
    from registry.cli.client import call

    answer = call(url, lambda registry: registry.get("/cron"))
    show(answer, answer["cron_jobs"], _COLUMNS, as_json=as_json)


@app.command()
def put(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help="Such as '*/5 * * * *' or @daily.", show_default=False)
    ],
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", show_default=False)],
    version: Annotated[str | None, typer.Option(help="If not the latest.", show_default=False)] = None,
    time_zone: Annotated[str, typer.Option(help="Whose clocks.")] = "UTC",
    given: Annotated[str, typer.Option("--input", metavar="JSON", help="What it is to work on.")] = "{}",
    enabled: Annotated[bool, typer.Option("--enabled/--disabled", help="Whether it runs.")] = True,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Start a workflow whenever the time fits. A job of the same name is replaced."""
    from registry.cli.client import call

    body: dict[str, Any] = {
        "name": name,
        "cron_expression": expression,
        "time_zone": time_zone,
        "workflow_id": workflow,
        "workflow_version": version,
        "input": read_input(given),
        "enabled": enabled,
    }
    show_one(call(url, lambda registry: registry.post("/cron", body)), as_json=as_json)


@app.command()
def delete(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete a job. Executions that it has started go on."""
    from registry.cli.client import call

    path = f"/cron/{quote(name, safe='', errors='surrogateescape')}"
    show_one(call(url, lambda registry: registry.delete(path)), as_json=as_json)
