"""`registry workflows`: the workflows of a registry that runs, here or elsewhere."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from groundwork.command import CANNOT, complain
from groundwork.output import AsJson, escape, print_json, show, show_one
from registry.cli.common import PROGRAM
from registry.cli.documents import read_document

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

app = typer.Typer(help="Workflows of a running registry.", no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option("--url", help="The registry, if not the one that the settings name.", show_default=False),
]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The IR of a workflow, in JSON or YAML.", show_default=False)
]

_COLUMNS = ("workflow_id", "version", "revision", "name", "registered_at")


@app.command("list")
def list_workflows(url: Url = None, as_json: AsJson = False) -> None:
    """List workflows, each with its latest version."""
    answer = _call(url, lambda registry: registry.get("/workflows"))
    show(answer, answer["workflows"], _COLUMNS, as_json=as_json)


@app.command("show")
def show_workflow(
    workflow_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    version: Annotated[str | None, typer.Option(help="If not the latest.")] = None,
    revision: Annotated[int | None, typer.Option(help="If not the newest of that version.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show a workflow with its document."""
    wanted = {"version": version, "revision": revision}
    query = {name: str(value) for name, value in wanted.items() if value is not None}
    path = f"/workflows/{quote(workflow_id, safe='')}"
    show_one(_call(url, lambda registry: registry.get(path, query)), as_json=as_json)


@app.command()
def register(file: File, url: Url = None, as_json: AsJson = False) -> None:
    """Register a workflow."""
    body = {"ir": read_workflow_document(file)}
    show_one(_call(url, lambda registry: registry.post("/workflows", body)), as_json=as_json)


@app.command()
def validate(file: File, as_json: AsJson = False) -> None:
    """Say all that is wrong with a workflow, one line each; the registry is not asked."""
    from registry.errors import InvalidRequest
    from registry.workflows.validation import read_workflow

    try:
        workflow = read_workflow(read_workflow_document(file))
    except InvalidRequest as error:
        if as_json:
            print_json({"valid": False, "problems": list(error.problems)})
        for problem in () if as_json else error.problems:
            complain(PROGRAM, escape(problem))
        raise typer.Exit(1) from None
    if as_json:
        print_json({"valid": True, "problems": []})
        return
    typer.echo(f"{workflow.workflow_id} {workflow.version} can be registered: {len(workflow.nodes)} nodes")


def _call(url: str | None, work: "Callable[[RegistryCalls], Awaitable[dict[str, Any]]]") -> dict[str, Any]:
    from registry.cli.client import call

    return call(url, work)


def read_workflow_document(file: Path) -> dict[str, Any]:
    """The document in the file, which may have it below `ir` as the registry is sent it. Raises `typer.Exit`."""
    document = read_document(file)
    inner = document.get("ir", document)
    if not isinstance(inner, dict):
        complain(PROGRAM, f"{file}: there is no object in it")
        raise typer.Exit(CANNOT)
    return inner
