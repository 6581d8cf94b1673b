"""`registry decisions`: what waits for a person, in a registry that runs, here or elsewhere."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import quote

import typer

from groundwork.command import CANNOT, complain
from groundwork.output import AsJson, show, show_one
from registry.cli.common import PROGRAM

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

app = typer.Typer(help="What waits for a person, at workflows and agents.", no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option("--url", help="The registry, if not the one that the settings name.", show_default=False),
]
DecisionId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
Comment = Annotated[str | None, typer.Option("--comment", "-c", help="What to say with it.", show_default=False)]
Digest = Annotated[
    str | None,
    typer.Option(help="That of the question that is meant; and no other.", show_default=False),
]

_LISTED = ("decision_id", "kind", "agent_id", "workflow_id", "node_id", "caller", "since", "due_at", "text")


@app.command("list")
def list_decisions(
    kind: Annotated[str | None, typer.Option(help="approval or question.", show_default=False)] = None,
    agent: Annotated[str | None, typer.Option(help="Of this agent.", show_default=False)] = None,
    workflow: Annotated[str | None, typer.Option(help="Of this workflow.", show_default=False)] = None,
    label: Annotated[
        str | None, typer.Option(help="Of agents that have it: team=billing.", show_default=False)
    ] = None,
    state: Annotated[str, typer.Option(help="waiting, decided or withdrawn.")] = "waiting",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 100,
    cursor: Annotated[
        str | None, typer.Option(help="The next_cursor of the page before.", show_default=False)
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List what waits, the longest waiting first, or what was decided."""
    given = {"kind": kind, "agent_id": agent, "workflow_id": workflow, "label": label, "cursor": cursor}
    query = {"state": state, "limit": str(limit)} | {name: value for name, value in given.items() if value}
    answer = _call(url, lambda registry: registry.get("/decisions", query))
    show(answer, answer["decisions"], _LISTED, as_json=as_json)


@app.command("show")
def show_decision(decision_id: DecisionId, url: Url = None, as_json: AsJson = False) -> None:
    """Show what is asked, and what was decided."""
    show_one(_call(url, lambda registry: registry.get(_path(decision_id))), as_json=as_json)


@app.command()
def approve(
    decision_id: DecisionId,
    comment: Comment = None,
    digest: Digest = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Approve it."""
    _decide(decision_id, {"decision": "approve", "comment": comment, "digest": digest}, url, as_json=as_json)


@app.command()
def reject(
    decision_id: DecisionId,
    comment: Comment = None,
    digest: Digest = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Reject it."""
    _decide(decision_id, {"decision": "reject", "comment": comment, "digest": digest}, url, as_json=as_json)


@app.command()
def answer(
    decision_id: DecisionId,
    text: Annotated[str | None, typer.Argument(help="The answer, in words.", show_default=False)] = None,
    data: Annotated[
        str | None, typer.Option("--json-answer", metavar="JSON", help="The answer, as JSON.", show_default=False)
    ] = None,
    digest: Digest = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Answer it, in place of whoever was asked."""
    if (text is None) == (data is None):
        _refuse("give either a text, or --json-answer")
    try:
        given = text if data is None else json.loads(data)
    except ValueError as error:
        _refuse(f"--json-answer is not JSON: {error}")
    _decide(decision_id, {"answer": given, "digest": digest}, url, as_json=as_json)


def _decide(decision_id: str, body: dict[str, Any], url: str | None, *, as_json: bool) -> None:
    given = {name: value for name, value in body.items() if value is not None or name == "answer"}
    show_one(_call(url, lambda registry: registry.post(_path(decision_id), given)), as_json=as_json)


def _refuse(problem: str) -> NoReturn:
    complain(PROGRAM, problem)
    raise typer.Exit(CANNOT)


def _path(decision_id: str) -> str:
    return f"/decisions/{quote(decision_id, safe='')}"


def _call(url: str | None, ask: "Callable[[RegistryCalls], Awaitable[dict[str, Any]]]") -> dict[str, Any]:
    from registry.cli.client import call

    return call(url, ask)
