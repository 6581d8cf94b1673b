"""`registry components`: what agents take from a registry that runs, here or elsewhere."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.output import AsJson, escape, show, show_one
from registry.cli.documents import read_document
from registry.cli.paths import component_path

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

app = typer.Typer(help="Models, prompts and MCP servers that agents take from a registry.", no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option("--url", help="The registry, if not the one that the settings name.", show_default=False),
]
Kind = Annotated[str, typer.Argument(metavar="KIND", help="model, prompt, mcp or agent.", show_default=False)]
Id = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
IfMatch = Annotated[
    int | None, typer.Option("--if-match", metavar="VERSION", help="Only if this is the version there is.")
]

_LISTED = ("kind", "id", "version", "updated_at", "updated_by", "digest")
_VERSIONS = ("version", "created_at", "created_by", "rolled_back_to", "deleted", "digest")
_USES = ("agent_id", "incarnation", "alive", "version", "state", "reported_at", "error")
_APPLIED = ("kind", "id", "version", "result", "error")


@app.command("list")
def list_components(
    kind: Annotated[str | None, typer.Option(help="model, prompt, mcp; or agent.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List components."""
    query = {"kind": kind} if kind else {}
    answer = _call(url, lambda registry: _all_pages(registry, "/components", "components", query))
    show(answer, answer["components"], _LISTED, as_json=as_json)


@app.command()
def get(
    kind: Kind,
    component_id: Id,
    version: Annotated[int | None, typer.Option(help="If not the latest.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show a component with its content."""
    query = {} if version is None else {"version": str(version)}
    show_one(_call(url, lambda registry: registry.get(component_path(kind, component_id), query)), as_json=as_json)


@app.command()
def put(
    kind: Kind,
    component_id: Id,
    file: Annotated[
        Path,
        typer.Option("--file", "-f", help="The content, in JSON or YAML; - is stdin.", show_default=False),
    ],
    if_match: IfMatch = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a content the next version of a component. One that says the same changes nothing."""
    content = read_document(file)
    show_one(
        _call(url, lambda registry: registry.put(component_path(kind, component_id), content, _headers(if_match))),
        as_json=as_json,
    )


@app.command()
def versions(kind: Kind, component_id: Id, url: Url = None, as_json: AsJson = False) -> None:
    """List the versions of a component, the newest first."""
    path = component_path(kind, component_id, "versions")
    answer = _call(url, lambda registry: _all_pages(registry, path, "versions"))
    show(answer, answer["versions"], _VERSIONS, as_json=as_json)


@app.command()
def rollback(
    kind: Kind,
    component_id: Id,
    version: Annotated[int, typer.Argument(metavar="VERSION", show_default=False)],
    if_match: IfMatch = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a new version of what an earlier one says."""
    path = component_path(kind, component_id, "rollback")
    show_one(
        _call(url, lambda registry: registry.post(path, {"version": version}, _headers(if_match))), as_json=as_json
    )


@app.command()
def delete(
    kind: Kind, component_id: Id, if_match: IfMatch = None, url: Url = None, as_json: AsJson = False
) -> None:
    """Delete a component. Its versions stay, and can be gone back to."""
    show_one(
        _call(url, lambda registry: registry.delete(component_path(kind, component_id), _headers(if_match))),
        as_json=as_json,
    )


@app.command()
def status(kind: Kind, component_id: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Show which agents run which version of a component, and which have refused it and why."""
    path = component_path(kind, component_id, "status")
    answer = _call(url, lambda registry: _all_pages(registry, path, "agents"))
    if not as_json:
        counts = ", ".join(f"{number} {state}" for state, number in answer["summary"].items())
        version = "no version" if answer["version"] is None else f"version {answer['version']}"
        typer.echo(f"{escape(kind)} {escape(component_id)}, {version}: {counts}", err=True)
    show(answer, answer["agents"], _USES, as_json=as_json)


@app.command()
def apply(
    path: Annotated[
        Path,
        typer.Option("--file", "-f", help="A file of components, or a directory of them.", show_default=False),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Bring components to what files say: documents of kind, id and content, in JSON or YAML. All are checked
    before the first is sent, and what somebody else has changed meanwhile is not written over."""
    from registry.cli.applying import apply_all, read_wanted
    from registry.cli.client import call

    wanted = read_wanted(path)
    applied = [each.shown() for each in call(url, lambda registry: apply_all(registry, wanted, dry_run=dry_run))]
    show({"components": applied, "dry_run": dry_run}, applied, _APPLIED, as_json=as_json)
    if any(each["result"] == "failed" for each in applied):
        raise typer.Exit(1)


async def _all_pages(
    registry: "RegistryCalls", path: str, key: str, query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The last page, with what is on all of them."""
    rows: list[Any] = []
    page = await registry.get(path, {**(query or {}), "limit": "200"})
    while page["next_cursor"] is not None:
        rows += page[key]
        page = await registry.get(path, {**(query or {}), "limit": "200", "cursor": page["next_cursor"]})
    return {**page, key: rows + page[key]}


def _call(url: str | None, work: "Callable[[RegistryCalls], Awaitable[dict[str, Any]]]") -> dict[str, Any]:
    from registry.cli.client import call

    return call(url, work)


def _headers(if_match: int | None) -> dict[str, str]:
    return {} if if_match is None else {"If-Match": f'"{if_match}"'}
