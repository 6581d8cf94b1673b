"""`registry agents`: the agents of a registry that runs, here or elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from groundwork.command import CANNOT, complain
from groundwork.output import AsJson, show, show_one
from registry.cli.common import PROGRAM

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

app = typer.Typer(help="Agents of a running registry.", no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option("--url", help="The registry, if not the one that is set.", show_default=False),
]
AgentId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]

_COLUMNS = ("id", "name", "status", "alive", "skills", "uri", "last_heartbeat")
_TRACED = ("timestamp", "direction", "event_type", "summary")
_LOOK_SECONDS = 0.5


@app.command("list")
def list_agents(
    status: Annotated[str | None, typer.Option(help="registered, active, paused, draining …")] = None,
    skill: Annotated[str | None, typer.Option(help="Only agents with this skill.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only agents that speak this protocol.")] = None,
    label: Annotated[str | None, typer.Option(help="Only agents with this label, such as team=billing.")] = None,
    alive: Annotated[bool | None, typer.Option("--alive/--silent", help="Only those, or the others.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List agents."""
    filters = {"status": status, "skill": skill, "protocol": protocol, "label": label}
    query = {name: value for name, value in filters.items() if value is not None}
    if alive is not None:
        query["alive"] = str(alive).lower()
    _show_list(_call(url, lambda registry: registry.get("/agents", query)), as_json)


@app.command()
def search(
    skills: Annotated[str, typer.Argument(metavar="SKILL[,SKILL]…", show_default=False)],
    trust_domain: Annotated[str | None, typer.Option(help="Only agents of this domain.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the agents that have one of the skills."""
    query = {"skills": skills} | ({"trust_domain": trust_domain} if trust_domain else {})
    _show_list(_call(url, lambda registry: registry.get("/agents/search", query)), as_json)


@app.command("show")
@app.command("inspect", help="The same as `show`.")
def show_agent(agent_id: AgentId, url: Url = None, as_json: AsJson = False) -> None:
    """Show all that is known of an agent."""
    show_one(_call(url, lambda registry: registry.get(_path(agent_id))), as_json=as_json)


@app.command()
def trace(
    agent_id: AgentId,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show what was decided about an agent and asked of it, the latest first."""
    answer = _call(url, lambda registry: registry.get(_path(agent_id, "trace"), {"limit": str(limit)}))
    show(answer, answer["events"], _TRACED, as_json=as_json)


@app.command()
def activate(agent_id: AgentId, url: Url = None, as_json: AsJson = False) -> None:
    """Let an agent be found by others."""
    _change(agent_id, "activate", url, as_json)


@app.command()
def pause(agent_id: AgentId, url: Url = None, as_json: AsJson = False) -> None:
    """Let an agent finish what runs, keep what waits, and take nothing new until it is resumed."""
    _change(agent_id, "pause", url, as_json)


@app.command()
def drain(
    agent_id: AgentId,
    wait: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Wait until nothing runs in it any more.", show_default=False),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """As `pause`, before an agent is taken out of service. With --wait the exit status is 1 while turns still run.

    A process that was killed is waited for until it is taken for dead."""
    if wait is None:
        _change(agent_id, "drain", url, as_json)
        return
    seconds = wait

    async def drain_and_look(registry: "RegistryCalls") -> dict[str, Any]:
        answer = await registry.post(_path(agent_id, "drain"))
        ends_at = asyncio.get_running_loop().time() + seconds
        while True:
            agent = await registry.get(_path(agent_id))
            living = [one for one in agent["instances"] if one["alive"] or one["health"] == "failing"]
            drained = agent["status"] == "draining" and all(one["drained"] for one in living)
            if drained or agent["status"] != "draining" or asyncio.get_running_loop().time() >= ends_at:
                return {**answer, "status": agent["status"], "drained": drained}
            await asyncio.sleep(_LOOK_SECONDS)

    answer = _call(url, drain_and_look)
    show_one(answer, as_json=as_json)
    if not answer["drained"]:
        raise typer.Exit(1)


@app.command()
def resume(agent_id: AgentId, url: Url = None, as_json: AsJson = False) -> None:
    """Undo a pause or a drain."""
    _change(agent_id, "resume", url, as_json)


@app.command()
def deactivate(agent_id: AgentId, url: Url = None, as_json: AsJson = False) -> None:
    """Take an agent out of service: it takes nothing new, and is found by nobody."""
    _change(agent_id, "deactivate", url, as_json)


@app.command()
def delete(
    agent_id: AgentId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Remove an agent from the registry. One that still runs registers again."""
    if not yes:
        typer.confirm(f"Remove agent {agent_id} from the registry?", abort=True, err=True)
    show_one(_call(url, lambda registry: registry.delete(_path(agent_id))), as_json=as_json)


@app.command()
def label(
    agent_id: AgentId,
    changes: Annotated[
        list[str],
        typer.Argument(metavar="NAME=VALUE…", help="team=billing; NAME- takes one away.", show_default=False),
    ],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change an agent's labels. They hold against those that it registers with."""
    body = {"labels": dict(map(_label_in, changes))}
    answer = _call(url, lambda registry: registry.patch(_path(agent_id), body))
    show_one({"agent_id": answer["id"], "labels": answer["labels"]}, as_json=as_json)


@app.command()
def discover(
    agent_url: Annotated[str, typer.Argument(metavar="URL", help="The agent's base URL or card.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Register an agent by its card, which the registry fetches."""
    show_one(_call(url, lambda registry: registry.post("/agents/discover", {"url": agent_url})), as_json=as_json)


def _change(agent_id: str, verb: str, url: str | None, as_json: bool) -> None:
    show_one(_call(url, lambda registry: registry.post(_path(agent_id, verb))), as_json=as_json)


def _label_in(text: str) -> tuple[str, str | None]:
    """Raises `typer.Exit`."""
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if not text.endswith("-"):
        complain(PROGRAM, f"{text}: accepted is NAME=VALUE, or NAME- to take a label away")
        raise typer.Exit(CANNOT)
    return text.removesuffix("-"), None


def _call(url: str | None, work: "Callable[[RegistryCalls], Awaitable[dict[str, Any]]]") -> dict[str, Any]:
    from registry.cli.client import call

    return call(url, work)


def _path(agent_id: str, *more: str) -> str:
    return "/".join(["/agents", quote(agent_id, safe="", errors="surrogateescape"), *more])


def _show_list(answer: Mapping[str, Any], as_json: bool) -> None:
    rows = [_row(agent) for agent in answer.get("agents", [])]
    columns = (*_COLUMNS, "labels") if any(row["labels"] for row in rows) else _COLUMNS
    show(answer, rows, columns, as_json=as_json)


def _row(agent: Mapping[str, Any]) -> dict[str, object]:
    skills = agent.get("capabilities", {}).get("skills", [])
    labels = agent.get("labels") or {}
    return {
        **agent,
        "skills": [skill["id"] for skill in skills],
        "labels": [f"{name}={value}" for name, value in labels.items()],
    }
