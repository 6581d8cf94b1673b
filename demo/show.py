"""The demo from its first line to its last, whatever happens in between."""

import asyncio
import os
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import httpx
from a2a.utils.errors import A2AError

from demo.calls import Bearer, Call, say_with_curl
from demo.console import Screen
from demo.json_text import only
from demo.service import AGENT, REGISTRY, CommandMissing, DidNotStart, Service, open_service
from demo.steps.project import AGENT_ID
from demo.tour import Step, StepFailed, Tour

FAILED = 1
INTERRUPTED = 130

# A killed process's work is taken over when its lease has run out, and the registry misses it when it has not been
# heard of for two and a half intervals: after ten seconds and twenty-five, if nobody says otherwise.
_SETTINGS = {
    "TURN_LEASE_SECONDS": "2",
    "REGISTRY_HEARTBEAT_SECONDS": "1",
    "INTERNAL_RUNTIME_CONTROL_ENABLED": "true",
}

_EXPLAINED = (StepFailed, DidNotStart, CommandMissing, A2AError, httpx.HTTPError, OSError)
_LOG_LINES = 15
_LOOK_SECONDS = 0.2


class _DemoFailed(Exception):
    """Something went wrong, and the screen says what."""


@dataclass(frozen=True)
class _Stage:
    """What the demo plays on."""

    screen: Screen
    agent: Service
    registry: Service
    tokens: dict[str, Bearer] = field(default_factory=dict)

    @property
    def services(self) -> tuple[Service, Service]:
        """In the order in which they are stopped."""
        return self.agent, self.registry


def run_demo(screen: Screen, steps: Sequence[Step], *, stay: bool) -> int:
    """Runs the demo and leaves nothing behind, neither processes nor files. Returns the exit status.

    With `stay` the agent and the registry serve on after the tour, until Ctrl-C.
    """
    screen.title(
        "agent-sidecar",
        "The whole journey of an agent, on a real one and a real registry: each command is run, each call is made,"
        " and each answer is what came back.",
    )
    try:
        with tempfile.TemporaryDirectory(prefix="agent-demo-") as name:
            workspace = Path(name).resolve()
            with (
                open_service(REGISTRY, workspace / "registry", workspace / "registry.log") as registry,
                open_service(AGENT, workspace / AGENT_ID, workspace / "agent.log", _SETTINGS) as agent,
            ):
                stage = _Stage(screen, agent, registry)
                asyncio.run(_take(stage, steps))
                if stay:
                    _stay(stage)
                _stop(stage)
        screen.check(f"`{workspace}` is removed")
        _show_what_is_next(screen)
    except _DemoFailed:
        return FAILED
    except KeyboardInterrupt:
        screen.failure("Interrupted", "What was started is stopped, and its files are removed.")
        return INTERRUPTED
    return 0


async def _take(stage: _Stage, steps: Sequence[Step]) -> None:
    """Takes one step after the other. Raises `_DemoFailed` at the first that fails."""
    times: list[float] = []
    screen = stage.screen
    async with httpx.AsyncClient(timeout=60) as http:
        tour = Tour(screen, stage.agent, stage.registry, http, stage.tokens)
        for number, step in enumerate(steps, start=1):
            screen.heading(number, len(steps), step.title)
            began = time.monotonic()
            try:
                await step.take(tour)
            except Exception as error:  # noqa: BLE001  # the edge: whatever it is, the step and the log belong to it
                _fail(stage, f"Step {number} of {len(steps)} failed: {step.title}", _explain(error))
            times.append(time.monotonic() - began)
    screen.banner("What you have seen")
    screen.table([(f"{seconds:4.1f} s", step.title) for seconds, step in zip(times, steps, strict=True)])
    screen.check(f"{tour.checks} checks, each held; {sum(times):.1f} seconds in all")


def _stay(stage: _Stage) -> None:
    """Leaves both to whoever sits there, until Ctrl-C. Raises `_DemoFailed` when one ends by itself."""
    screen, agent, registry = stage.screen, stage.agent, stage.registry
    screen.banner("It is yours")
    screen.table(
        [
            ("the agent", agent.url),
            ("its card", f"{agent.url}/.well-known/agent-card.json"),
            ("its state", f"{agent.url}/api/v1/status"),
            ("its API", f"{agent.url}/openapi.json"),
            ("its metrics", f"{agent.url}/metrics"),
            ("its project", str(agent.directory)),
            ("its log", str(agent.log)),
            ("the registry", registry.url),
            ("its API", f"{registry.url}/openapi.json"),
            ("its log", str(registry.log)),
            ("the console", f"{registry.url}/console"),
        ]
    )
    screen.say("In another terminal, say something to the agent:")
    screen.curl(say_with_curl(agent.url, "Good morning", "session-002"))
    screen.say("look at what it has kept of it:")
    screen.curl(Call("GET", f"{agent.url}/api/v1/memory/threads/session-002/messages"))
    if bearer := stage.tokens.get("operator"):
        screen.say("and see what the registry knows:")
        screen.command(f"{bearer.variable}={bearer.token}")
        screen.curl(Call("GET", f"{registry.url}/agents", bearer=bearer))
    screen.say("They stay up until Ctrl-C, which removes their files too.")
    try:
        ended = _wait_for_the_first(stage)
    except KeyboardInterrupt:
        return
    _fail(stage, f"The {ended.program.name} has ended by itself", f"Its exit status is {ended.ended_with}.")


def _wait_for_the_first(stage: _Stage) -> Service:
    """The one that has ended, once one has."""
    while True:
        for service in stage.services:
            if service.ended_with is not None:
                return service
        time.sleep(_LOOK_SECONDS)


def _show_what_is_next(screen: Screen) -> None:
    screen.banner("What to try next")
    lines = ["scaffold new-agent my-agent", "cd my-agent", "pytest", "agent-runtime serve"]
    if sys.prefix != sys.base_prefix:
        environment = min(sys.prefix, os.path.relpath(sys.prefix), key=len)
        lines.insert(0, f". {shlex.quote(environment)}/bin/activate")
    screen.command(*lines)
    screen.say("The `README.md` of the new project says what to say to it, and how to give it a real model.")


def _stop(stage: _Stage) -> None:
    """Stops everything as an orchestrator would. Raises `_DemoFailed` when it does not go as it should."""
    for service in stage.services:
        _stop_one(stage, service)
        if service is stage.agent and "developer" in stage.tokens:
            _see_it_gone(stage)


def _stop_one(stage: _Stage, service: Service) -> None:
    began, name = time.monotonic(), service.program.name
    stage.screen.command(f"kill {service.pid}")
    with stage.screen.waiting("stopping"):
        status = service.stop()
    if status != 0 or service.is_listening():
        _fail(stage, f"The {name} did not stop as it should", f"Its exit status is {status}.")
    stage.screen.check(f"the {name} has ended with status 0, {time.monotonic() - began:.1f} seconds after SIGTERM")


def _see_it_gone(stage: _Stage) -> None:
    """An agent that is told to stop takes leave of the registry."""
    call = Call("GET", f"{stage.registry.url}/agents/{AGENT_ID}", bearer=stage.tokens["developer"])
    stage.screen.curl(call)
    with httpx.Client(timeout=60) as http:
        response = http.send(call.request(http))
    stage.screen.answer(response.status_code, only(response.json(), "id", "status", "alive"))
    if response.json()["status"] != "deactivated":
        _fail(stage, "The agent has not taken leave of the registry", response.text)
    stage.screen.check("the agent has taken leave of the registry")


def _fail(stage: _Stage, what: str, why: str) -> NoReturn:
    stage.screen.failure(what, why)
    for service in stage.services:
        if lines := service.log_lines()[-_LOG_LINES:]:
            stage.screen.say(f"The end of the {service.program.name}'s log:")
            stage.screen.lines(lines)
    raise _DemoFailed


def _explain(error: Exception) -> str:
    """What is wrong; with a traceback when it is the demo itself."""
    if isinstance(error, _EXPLAINED):
        return str(error) or repr(error)
    return "".join(traceback.format_exception(error)).rstrip()
