"""The registry: who is there, who may do what, and who has done what."""

import asyncio
import shlex
from pathlib import Path
from typing import Any

from demo.calls import Bearer, Call
from demo.json_text import Abridged, only
from demo.service import find_command, own_environment
from demo.steps.project import AGENT_ID
from demo.steps.start import start
from demo.tour import Tour

_ENTRY = f"/agents/{AGENT_ID}"
_ENTRY_FIELDS = ("sequence", "event_type", "actor_id", "role", "subject", "raw_event")
_SHOWN_OF_A_TOKEN = 8
_SHOWN_LINES = 12


async def start_the_registry(tour: Tour) -> None:
    tour.screen.say(
        "What knows all agents: a process of its own, with a PostgreSQL of its own. Its API is JamJet's, so that"
        " JamJet's clients work with it."
    )
    tour.registry.directory.mkdir()
    seconds = await start(tour, tour.registry)
    tour.check(True, f"ready after {seconds:.1f} seconds")
    tour.screen.say(
        "Nobody gets in without a token. The first one comes from whoever has the database; it is shown this once,"
        " and kept as a hash:"
    )
    tour.screen.command("OPERATOR=$(registry tokens create --role operator)")
    plaintext = await run_registry(tour, "tokens", "create", "--role", "operator")
    tour.tokens["operator"] = Bearer("OPERATOR", plaintext)
    tour.screen.say("Operators make the others. One for the agent, which may write:")
    await _make_token(tour, "developer", {"role": "developer", "name": AGENT_ID, "expires": "30d"})


async def meet_in_the_registry(tour: Tour) -> None:
    tour.screen.say("The agent has registered by itself, and says every second that it lives. The registry:")
    await tour.wait_for(_look(tour), _is_alive, "the agent has registered")
    seen = await tour.ask_registry("GET", _ENTRY, role="developer", show=_brief)
    tour.check(
        seen["alive"] and seen["status"] == "active" and seen["uri"] == tour.agent.url,
        "it is active and alive, at the URL on its card",
        seen,
    )
    tour.screen.say("The agent, asked the same:")
    status = await tour.admin("GET", "/status")
    tour.check(status["a2a"]["registry"]["connected"], "it is connected to its registry", status)


async def see_the_url(tour: Tour, url: str) -> None:
    """The registry has the agent's new URL without being asked to look."""
    seconds = await tour.wait_for(_look(tour), lambda agent: agent["uri"] == url, "the registry has the new URL")
    tour.check(True, f"the registry has it too, {seconds:.2f} seconds later")


async def watch_it_die(tour: Tour) -> None:
    """The registry misses the heartbeats of a process that was killed."""
    seconds = await tour.wait_for(_look(tour), lambda agent: not _is_alive(agent), "the registry misses it")
    await tour.ask_registry("GET", _ENTRY, role="developer", show=_brief)
    tour.check(
        True,
        f"the registry has missed it {seconds:.1f} seconds later: not alive, though nobody has ended it",
    )


async def wait_until_alive(tour: Tour) -> None:
    """The registry hears of the agent again."""
    await tour.wait_for(_look(tour), _is_alive, "the registry hears of it")
    seen = await tour.ask_registry("GET", _ENTRY, role="developer", show=_brief)
    tour.check(seen["alive"], "the registry hears of it again: another process of the same agent", seen)


async def admit_by_role(tour: Tour) -> None:
    tour.screen.say("Somebody who may look, and no more:")
    await _make_token(tour, "viewer", {"role": "viewer", "expires": "12h"})
    await tour.wait_for(_look(tour), _is_alive, "the registry hears of the agent")
    listed = await tour.ask_registry(
        "GET",
        "/agents?alive=true",
        role="viewer",
        show=lambda answer: {"agents": [only(agent, "id", "status", "alive") for agent in answer["agents"]]},
    )
    tour.check([agent["id"] for agent in listed["agents"]] == [AGENT_ID], "one agent is alive", listed)
    await tour.ask_registry("POST", f"{_ENTRY}/pause", role="viewer", refused=403)
    await tour.ask_registry("GET", "/tokens", role="developer", refused=403)
    tour.screen.say("Without a token:")
    await tour.ask_registry("GET", _ENTRY, role=None, refused=401)


async def reach_its_admin_api(tour: Tour) -> None:
    tour.screen.say(
        "What the agent's own admin API answers, by way of the registry: one address and one token for all agents."
        " The registry signs each call, and the agent checks the role:"
    )
    await tour.wait_for(_look(tour), _is_alive, "the registry hears of the agent")
    admin = f"{_ENTRY}/admin"
    shown = await tour.ask_registry("GET", f"{admin}/memory/config", role="viewer")
    tour.check(shown["success"], "the viewer sees it", shown)
    await tour.ask_registry("PATCH", f"{admin}/memory/config", {"window_size": 12}, role="viewer", refused=403)
    tour.screen.say("Labels say which agents are meant; each has a result of its own:")
    await tour.ask_registry("PATCH", _ENTRY, {"labels": {"team": "demo"}}, role="developer", show=_labels)
    path = "/memory/config?label=team=demo"
    done = await tour.ask_registry("PATCH", path, {"window_size": 12}, role="developer", show=_results)
    tour.check((done["succeeded"], done["failed"]) == (1, 0), "every agent of the team has taken it", done)
    tour.screen.say("The same on the command line, from any machine:")
    tour.screen.command(f"registry agents config {AGENT_ID}")
    listed = await run_registry(tour, "agents", "config", AGENT_ID, role="viewer")
    tour.screen.lines(listed.splitlines(), at_most=_SHOWN_LINES)
    tour.check("12" in listed, "it is as the team was told", listed)


async def read_the_audit_log(tour: Tour) -> None:
    tour.screen.say(
        "Every change is in the audit log, by the transaction that made it, and so is every change that was"
        " refused. The newest first:"
    )
    page = await tour.ask_registry(
        "GET",
        "/audit?limit=3",
        role="viewer",
        show=lambda page: {**page, "items": [only(entry, *_ENTRY_FIELDS) for entry in page["items"]]},
    )
    refused = [entry["role"] for entry in page["items"] if entry["event_type"] == "write_refused"]
    tour.check("viewer" in refused, "what the viewer tried is there", page["items"])
    tour.screen.say("Nothing in it can be changed: the database refuses, and each entry has the hash of the last.")
    tour.screen.command("registry audit verify")
    verdict = await run_registry(tour, "audit", "verify")
    tour.screen.lines(verdict.splitlines())
    tour.check("entries, whole" in verdict, "the chain of hashes is whole", verdict)


async def read_the_did_document(tour: Tour) -> None:
    tour.screen.say("For other registries, and for everybody: which agents are where, as W3C's DID document.")
    await tour.wait_for(_look(tour), _is_alive, "the registry hears of the agent")
    document = await tour.ask_registry("GET", "/.well-known/did.json", role=None)
    served = [service["serviceEndpoint"] for service in document["service"]]
    tour.check(served == [tour.agent.url], "the agent that is alive is in it", document)


async def use_jamjets_client(tour: Tour) -> None:
    path = Path(find_command("registry")).with_name("jamjet")
    if not path.exists():
        tour.screen.say("JamJet's own command would be next. It is not installed here: `make venv` brings it.")
        return
    tour.screen.say("JamJet's own command, as it is published:")
    commands = [
        ["jamjet", "agents", verb, *about, "--runtime", tour.registry.url]
        for verb, about in (("list", []), ("inspect", [AGENT_ID]))
    ]
    environment = own_environment({"JAMJET_TOKEN": tour.tokens["viewer"].token, "COLUMNS": "200"})
    directory = tour.registry.directory
    outputs = await asyncio.gather(
        *(tour.run(*command, directory=directory, environment=environment) for command in commands)
    )
    tour.screen.command("export JAMJET_TOKEN=$VIEWER")
    for command, output in zip(commands, outputs, strict=True):
        tour.screen.command(shlex.join(command))
        tour.screen.lines(output.splitlines(), at_most=_SHOWN_LINES)
    tour.check(all(AGENT_ID in output for output in outputs), "it finds the agent")


def _labels(agent: Any) -> Any:
    return only(agent, "id", "labels")


def _results(answer: Any) -> Any:
    return {**answer, "results": [only(result, "agent_id", "ok", "status") for result in answer["results"]]}


async def run_registry(tour: Tour, *arguments: str, role: str | None = None) -> str:
    """Runs a `registry` command where the registry is. Returns what it has printed. Raises `StepFailed`."""
    token = {"JAMJET_TOKEN": tour.tokens[role].token} if role else {}
    return await tour.run(
        "registry",
        *arguments,
        directory=tour.registry.directory,
        environment={**tour.registry.environment, **token},
    )


async def _make_token(tour: Tour, role: str, wanted: dict[str, Any]) -> None:
    answer = await tour.ask_registry("POST", "/tokens", wanted, role="operator", show=_hide_token)
    tour.tokens[role] = Bearer(role.upper(), answer["token"])
    tour.screen.command(f"{role.upper()}={_beginning(answer['token']).text}")


def _look(tour: Tour) -> Call:
    return Call("GET", tour.registry.url + _ENTRY, bearer=tour.tokens["developer"])


def _is_alive(agent: dict[str, Any]) -> bool:
    """Nothing is alive that the registry does not know."""
    return agent.get("alive", False) is True


def _brief(agent: dict[str, Any]) -> dict[str, Any]:
    return only(agent, "id", "status", "alive", "uri", "last_heartbeat", "instances")


def _hide_token(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "token": _beginning(answer["token"])}


def _beginning(token: str) -> Abridged:
    return Abridged(f"{token[:_SHOWN_OF_A_TOKEN]}…")
