"""`registry run`, `inspect`, `events`, `approve` and `cancel`: executions of a registry that runs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.command import CANNOT, complain
from groundwork.output import AsJson, print_json, print_json_line, show, show_one
from registry.cli.common import PROGRAM
from registry.cli.workflows import read_workflow_document

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

Url = Annotated[
    str | None,
    typer.Option("--url", help="The registry, if not the one that the settings name.", show_default=False),
]
ExecutionId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show what happens until the execution has ended.")]

_SHOWN = (
    *("execution_id", "workflow_id", "workflow_version", "status", "error", "steps_executed", "created_at"),
    *("completed_at", "cost_usd", "tokens_used", "initial_input", "state"),
)
_DOCUMENTS = (".json", ".yaml", ".yml")


app = typer.Typer(help="Executions of a running registry.", no_args_is_help=True)

_LISTED = ("execution_id", "workflow_id", "workflow_version", "status", "steps_executed", "created_at", "error")


@app.command("list")
def list_executions(
    status: Annotated[str | None, typer.Option(help="pending, running, paused, completed, failed …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    offset: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="After how many.")] = 0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List executions, the newest first."""
    query = {"limit": str(limit), "offset": str(offset)} | ({"status": status} if status else {})
    answer = _call(url, lambda registry: registry.get("/executions", query))
    show(answer, answer["executions"], _LISTED, as_json=as_json)


@app.command("start")
def run(
    workflow: Annotated[
        str, typer.Argument(metavar="ID|FILE", help="A workflow, or a file with one, which is registered first.")
    ],
    given: Annotated[str, typer.Option("--input", metavar="JSON", help="What it is to work on.")] = "{}",
    version: Annotated[str | None, typer.Option(help="If not the latest.", show_default=False)] = None,
    follow: Follow = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Start an execution. With --follow the exit status is 0 when it completes, and 1 when it ends otherwise."""
    body: dict[str, Any] = {"workflow_id": workflow, "workflow_version": version, "input": read_input(given)}
    document = _document_in(workflow, version)

    async def start(registry: "RegistryCalls") -> dict[str, Any]:
        if document is not None:
            registered = await registry.post("/workflows", {"ir": document})
            body["workflow_id"], body["workflow_version"] = registered["workflow_id"], registered["version"]
        started = await registry.post("/executions", body)
        if not follow:
            return started
        return await _follow(registry, started["execution_id"], quiet=as_json)

    answer = _call(url, start)
    show_one(answer if as_json or not follow else _selected(answer), as_json=as_json)
    if follow:
        _exit_as(answer)


@app.command("show")
def inspect(execution_id: ExecutionId, url: Url = None, as_json: AsJson = False) -> None:
    """Show an execution, its state, and what has happened in it."""
    from registry.cli.following import path_of

    async def look(registry: "RegistryCalls") -> dict[str, Any]:
        execution = await registry.get(path_of(execution_id))
        return execution | await registry.get(path_of(execution_id, "events"))

    found = _call(url, look)
    if as_json:
        print_json(found)
        return
    show_one(_selected(found), as_json=False)
    typer.echo()
    _show_events(found["events"])


@app.command()
def events(execution_id: ExecutionId, follow: Follow = False, url: Url = None, as_json: AsJson = False) -> None:
    """Show what has happened in an execution. With --follow and --json there is an event on each line."""
    from registry.cli.following import path_of

    if follow:
        _call(url, lambda registry: _follow(registry, execution_id, json_lines=as_json))
        return
    answer = _call(url, lambda registry: registry.get(path_of(execution_id, "events")))
    if as_json:
        print_json(answer)
    else:
        _show_events(answer["events"])


@app.command()
def approve(
    execution_id: ExecutionId,
    decision: Annotated[str, typer.Option("--decision", "-d", help="approved or rejected.", show_default=False)],
    node_id: Annotated[str | None, typer.Option(help="Which node, when several wait.", show_default=False)] = None,
    comment: Annotated[str | None, typer.Option("--comment", "-c", help="Why.", show_default=False)] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Decide what an execution waits for."""
    from registry.cli.following import path_of

    body = {"decision": decision, "node_id": node_id, "comment": comment}
    show_one(_call(url, lambda registry: registry.post(path_of(execution_id, "approve"), body)), as_json=as_json)


@app.command()
def cancel(execution_id: ExecutionId, url: Url = None, as_json: AsJson = False) -> None:
    """End an execution, and whatever it has begun."""
    from registry.cli.following import path_of

    show_one(_call(url, lambda registry: registry.post(path_of(execution_id, "cancel"))), as_json=as_json)


async def _follow(
    registry: "RegistryCalls", execution_id: str, *, quiet: bool = False, json_lines: bool = False
) -> dict[str, Any]:
    """Shows the events until the execution has ended, and returns it."""
    from registry.cli.following import follow, path_of, progress

    if quiet or json_lines:
        async for event in follow(registry, execution_id):
            if json_lines:
                print_json_line(event)
    else:
        with progress() as shown:
            async for event in follow(registry, execution_id):
                shown.show(event)
    return await registry.get(path_of(execution_id))


def _show_events(found: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console

    from registry.cli.timeline import Timeline, draw, write

    timeline, console = Timeline(), Console(highlight=False)
    for event in found:
        line = timeline.line(event)
        if console.is_terminal:
            console.print(draw(line), no_wrap=True, overflow="ellipsis")
        else:
            typer.echo(write(line))


def _selected(execution: Mapping[str, Any]) -> dict[str, Any]:
    """What people want to know of it: clients find many a thing in two places."""
    return {name: execution[name] for name in _SHOWN}


def _exit_as(execution: Mapping[str, Any]) -> None:
    if execution["status"] != "completed":
        raise typer.Exit(1)


def _document_in(workflow: str, version: str | None) -> dict[str, Any] | None:
    """The document, if it is a file that is named. Raises `typer.Exit`."""
    file = Path(workflow)
    if file.suffix not in _DOCUMENTS:
        return None
    document = read_workflow_document(file)
    if version is not None and version != document.get("version"):
        complain(PROGRAM, f"--version {version}: the workflow in {file} is version {document.get('version')}")
        raise typer.Exit(CANNOT)
    return document


def read_input(text: str) -> dict[str, Any]:
    """Raises `typer.Exit`."""
    from groundwork.http.json_body import BadJson, parse_json

    try:
        value = parse_json(text.encode("utf-8", "surrogateescape"))
    except BadJson as error:
        complain(PROGRAM, f"--input: {error}")
        raise typer.Exit(CANNOT) from None
    if not isinstance(value, dict):
        complain(PROGRAM, '--input: accepted is a JSON object, such as {"query": "..."}')
        raise typer.Exit(CANNOT)
    return value


def _call(url: str | None, work: "Callable[[RegistryCalls], Awaitable[dict[str, Any]]]") -> dict[str, Any]:
    from registry.cli.client import call

    return call(url, work)
