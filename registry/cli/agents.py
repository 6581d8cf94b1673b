"""`registry agents`: the agents of a registry that runs, here or elsewhere."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from groundwork.output import AsJson, show, show_one

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

app = typer.Typer(help="Agents of a running registry.", no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option("--url", help="The registry, if not the one that the settings name.", show_default=False),
]
AgentId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]

_COLUMNS = ("id", "name", "status", "alive", "skills", "uri", "last_heartbeat")


@app.command("list")
def list_agents(
    status: Annotated[str | None, typer.Option(help="registered, active, paused, draining …")] = None,
    skill: Annotated[str | None, typer.Option(help="Only agents with this skill.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only agents that speak this protocol.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List agents."""
    filters = {"status": status, "skill": skill, "protocol": protocol}
    query = {name: value for name, value in filters.items() if value is not None}
    answer = _call(url, lambda registry: registry.get("/agents", query))
    show(answer, [_row(agent) for agent in answer.get("agents", [])], _COLUMNS, as_json=as_json)


@app.command()
def inspect(agent_id: AgentId, url: Url = None, as_json: AsJson = False) -> None:
    """Show all that is known of an agent."""
    show_one(_call(url, lambda registry: registry.get(_path(agent_id))), as_json=as_json)


@app.command()
def activate(agent_id: AgentId, url: Url = None, as_json: AsJson = False) -> None:
    """Let an agent be found by others."""
    show_one(_call(url, lambda registry: registry.post(_path(agent_id, "activate"))), as_json=as_json)


@app.command()
def deactivate(agent_id: AgentId, url: Url = None, as_json: AsJson = False) -> None:
    """Take an agent out of service, as far as the registry is concerned."""
    show_one(_call(url, lambda registry: registry.post(_path(agent_id, "deactivate"))), as_json=as_json)


@app.command()
def discover(
    agent_url: Annotated[str, typer.Argument(metavar="URL", help="The agent's base URL or card.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Register an agent by its card, which the registry fetches."""
    show_one(_call(url, lambda registry: registry.post("/agents/discover", {"url": agent_url})), as_json=as_json)


def _call(url: str | None, work: "Callable[[RegistryCalls], Awaitable[dict[str, Any]]]") -> dict[str, Any]:
    from registry.cli.client import call

    return call(url, work)


def _path(agent_id: str, *more: str) -> str:
    return "/".join(["/agents", quote(agent_id, safe="", errors="surrogateescape"), *more])


def _row(agent: Mapping[str, Any]) -> dict[str, object]:
    skills = agent.get("capabilities", {}).get("skills", [])
    return {**agent, "skills": [skill["id"] for skill in skills]}
