"""`registry agents status`, `threads` and others: an agent's own admin API, by way of its registry."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import quote

import typer

from groundwork.command import CANNOT, complain
from groundwork.output import AsJson, show, show_one
from registry.cli.agents import AgentId, Url
from registry.cli.common import PROGRAM
from registry.cli.places import call

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

Thread = Annotated[str, typer.Argument(metavar="THREAD", show_default=False)]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many.")]
Cursor = Annotated[str | None, typer.Option(help="The next_cursor of the page before.", show_default=False)]

_CONNECTIONS = ("kind", "name", "connected", "status", "agent_status", "tools", "url", "last_error", "since")
_THREADS = ("thread_id", "state")
_MESSAGES = ("role", "content")
_TURNS = ("task_id", "thread_id", "state", "accepted_at", "duration_ms", "model", "input_tokens", "output_tokens")
_USED = ("turns", "failed", "model_calls", "tool_calls", "input_tokens", "cached_tokens", "output_tokens", "cost")
_RESULTS = ("agent_id", "ok", "status", "error")


def status(agent_id: AgentId, url: Url = None, as_json: AsJson = False) -> None:
    """Show what an agent is connected to."""
    data = call(url, lambda registry: registry.admin("GET", agent_id, "status"))
    rows = [{"kind": kind, "name": name, **state} for kind in ("mcp", "a2a") for name, state in data[kind].items()]
    show(data, rows, _CONNECTIONS, as_json=as_json)


def threads(
    agent_id: AgentId, limit: Limit = 100, cursor: Cursor = None, url: Url = None, as_json: AsJson = False
) -> None:
    """List an agent's threads, the oldest first, and what each is doing."""
    query = _given(states="true", limit=limit, cursor=cursor)
    data = call(url, lambda registry: registry.admin("GET", agent_id, "memory/threads", query))
    rows = [{"thread_id": thread, "state": data["states"].get(thread)} for thread in data["threads"]]
    show(data, rows, _THREADS, as_json=as_json)
    _say_more(data, as_json)


def messages(
    agent_id: AgentId, thread_id: Thread, limit: Limit = 50, url: Url = None, as_json: AsJson = False
) -> None:
    """Show the latest messages of a thread."""
    path = f"memory/threads/{_part(thread_id)}/messages"
    data = call(url, lambda registry: registry.admin("GET", agent_id, path, _given(limit=limit)))
    show(data, data["messages"], _MESSAGES, as_json=as_json)


def config(
    agent_id: Annotated[str | None, typer.Argument(metavar="[ID]", show_default=False)] = None,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]…", help="Such as window_size=20.", show_default=False),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="All agents with this label, such as team=billing.", show_default=False),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show or change how much an agent's model remembers. With --label each agent has a result; the exit status is
    1 when one of them failed."""
    if label is not None:
        given = [*([agent_id] if agent_id else []), *(changes or [])]
        _change_all(label, _changes_in(given), url, as_json)
        return
    if agent_id is None:
        _refuse("say which agent, by its ID, or --label for several")
    if not changes:
        show_one(call(url, lambda registry: registry.admin("GET", agent_id, "memory/config")), as_json=as_json)
        return
    body = _changes_in(changes)
    show_one(
        call(url, lambda registry: registry.admin("PATCH", agent_id, "memory/config", body=body)), as_json=as_json
    )


def turns(
    agent_id: AgentId,
    state: Annotated[str | None, typer.Option(help="Such as running, failed or input_required.")] = None,
    thread: Annotated[str | None, typer.Option(help="Only of this thread.")] = None,
    caller: Annotated[str | None, typer.Option(help="Only of this caller.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List what became of an agent's turns, the latest first."""
    query = _given(state=state, thread_id=thread, caller=caller, limit=limit, cursor=cursor)
    data = call(url, lambda registry: registry.admin("GET", agent_id, "turns", query))
    show(data, data["turns"], _TURNS, as_json=as_json)
    _say_more(data, as_json)


def usage(
    agent_id: AgentId,
    by: Annotated[str, typer.Option(help="day, model, caller or thread.")] = "day",
    since: Annotated[str | None, typer.Option(help="A day, such as 2026-12-01.", show_default=False)] = None,
    until: Annotated[str | None, typer.Option(help="A day, not included.", show_default=False)] = None,
    limit: Limit = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show what an agent's turns have used, and what that costs."""
    query = _given(by=by, since=since, until=until, limit=limit)
    data = call(url, lambda registry: registry.admin("GET", agent_id, "usage", query))
    rows = [{by: group["key"], **group} for group in data["usage"]] + [{by: "total", **data["total"]}]
    show(data, rows, (by, *_USED), as_json=as_json)


def erase(
    agent_id: AgentId,
    thread: Annotated[str | None, typer.Option(help="A thread, by its id.", show_default=False)] = None,
    caller: Annotated[
        str | None, typer.Option(help="All threads that this caller opened.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All threads of the agent.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go, and erase nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Erase threads of an agent, for good."""
    if [thread is not None, caller is not None, everything].count(True) != 1:
        _refuse("say what is to be erased: one of --thread, --caller and --all")
    what = f"thread {thread}" if thread else f"all threads of {caller}" if caller else "all its threads"
    if not (dry_run or yes):
        typer.confirm(f"Erase {what} at agent {agent_id}?", abort=True, err=True)
    path = f"memory/threads/{_part(thread)}" if thread is not None else "memory/threads"
    query = _given(caller=caller, all="true" if everything else None, dry_run="true" if dry_run else None)
    show_one(call(url, lambda registry: registry.admin("DELETE", agent_id, path, query)), as_json=as_json)


def _change_all(label: str, body: Mapping[str, Any], url: str | None, as_json: bool) -> None:
    async def change(registry: "RegistryCalls") -> dict[str, Any]:
        done: list[dict[str, Any]] = []
        query = {"label": label}
        while True:
            page = await registry.patch("/memory/config", body, query)
            done += page["results"]
            if page["next_cursor"] is None:
                failed = sum(not result["ok"] for result in done)
                return {"results": done, "succeeded": len(done) - failed, "failed": failed}
            query = {"label": label, "cursor": page["next_cursor"]}

    answer = call(url, change)
    show(answer, answer["results"], _RESULTS, as_json=as_json)
    if answer["failed"]:
        raise typer.Exit(1)


def _changes_in(given: Sequence[str]) -> dict[str, Any]:
    """`window_size=20` as JSON has it; what the agent does not take, it refuses itself."""
    changes: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            _refuse(f"{text}: accepted is NAME=VALUE, such as window_size=20")
        try:
            changes[name] = json.loads(value)
        except (ValueError, RecursionError):
            changes[name] = value
    if not changes:
        _refuse("say what is to change, such as window_size=20")
    return changes


def _given(**query: object) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value is not None}


def _part(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")


def _say_more(data: Mapping[str, Any], as_json: bool) -> None:
    if data.get("next_cursor") and not as_json:
        typer.echo(f"more with --cursor {data['next_cursor']}", err=True)


def _refuse(text: str) -> NoReturn:
    complain(PROGRAM, text)
    raise typer.Exit(CANNOT)
