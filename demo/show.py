"""The demo from its first line to its last, whatever happens in between."""

import asyncio
import os
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import httpx
from a2a.utils.errors import A2AError

from demo.agent_process import Agent, AgentDidNotStart, CommandMissing, open_agent
from demo.calls import Call, say_with_curl
from demo.console import Screen
from demo.steps.project import AGENT_ID
from demo.tour import Step, StepFailed, Tour

FAILED = 1
INTERRUPTED = 130

# A killed process's work is taken over when its lease has run out: after ten seconds, if nobody says otherwise.
_SETTINGS = {"TURN_LEASE_SECONDS": "2"}

_EXPLAINED = (StepFailed, AgentDidNotStart, CommandMissing, A2AError, httpx.HTTPError, OSError)
_LOG_LINES = 15


class _DemoFailed(Exception):
    """Something went wrong, and the screen says what."""


def run_demo(screen: Screen, steps: Sequence[Step], *, stay: bool) -> int:
    """Runs the demo and leaves nothing behind, neither processes nor files. Returns the exit status.

    With `stay` the agent serves on after the tour, until Ctrl-C.
    """
    screen.title(
        "agent-sidecar",
        "The whole journey of an agent, on a real one: each command is run, each call is made, and each answer is"
        " what came back.",
    )
    try:
        with tempfile.TemporaryDirectory(prefix="agent-demo-") as name:
            workspace = Path(name).resolve()
            with open_agent(workspace / AGENT_ID, workspace / "agent.log", _SETTINGS) as agent:
                asyncio.run(_take(screen, agent, steps))
                if stay:
                    _stay(screen, agent)
                _stop(screen, agent)
        screen.check(f"`{workspace}` is removed")
        _show_what_is_next(screen)
    except _DemoFailed:
        return FAILED
    except KeyboardInterrupt:
        screen.failure("Interrupted", "The agent is stopped, and its files are removed.")
        return INTERRUPTED
    return 0


async def _take(screen: Screen, agent: Agent, steps: Sequence[Step]) -> None:
    """Takes one step after the other. Raises `_DemoFailed` at the first that fails."""
    times: list[float] = []
    async with httpx.AsyncClient(timeout=60) as http:
        tour = Tour(screen, agent, http)
        for number, step in enumerate(steps, start=1):
            screen.heading(number, len(steps), step.title)
            began = time.monotonic()
            try:
                await step.take(tour)
            except Exception as error:  # noqa: BLE001  # the edge: whatever it is, the step and the log belong to it
                _fail(screen, agent, f"Step {number} of {len(steps)} failed: {step.title}", _explain(error))
            times.append(time.monotonic() - began)
    screen.banner("What you have seen")
    screen.table([(f"{seconds:4.1f} s", step.title) for seconds, step in zip(times, steps, strict=True)])
    screen.check(f"{tour.checks} checks, each held; {sum(times):.1f} seconds in all")


def _stay(screen: Screen, agent: Agent) -> None:
    """Leaves the agent to whoever sits there, until Ctrl-C. Raises `_DemoFailed` when it ends by itself."""
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
        ]
    )
    screen.say("In another terminal, say something to it:")
    screen.curl(say_with_curl(agent.url, "Good morning", "session-002"))
    screen.say("and look at what it has kept of it:")
    screen.curl(Call("GET", f"{agent.url}/api/v1/memory/threads/session-002/messages"))
    screen.say("It stays up until Ctrl-C, which removes its files too.")
    try:
        status = agent.wait()
    except KeyboardInterrupt:
        return
    _fail(screen, agent, "The agent has ended by itself", f"Its exit status is {status}.")


def _show_what_is_next(screen: Screen) -> None:
    screen.banner("What to try next")
    lines = ["scaffold new-agent my-agent", "cd my-agent", "pytest", "agent-runtime serve"]
    if sys.prefix != sys.base_prefix:
        environment = min(sys.prefix, os.path.relpath(sys.prefix), key=len)
        lines.insert(0, f". {shlex.quote(environment)}/bin/activate")
    screen.command(*lines)
    screen.say("The `README.md` of the new project says what to say to it, and how to give it a real model.")


def _stop(screen: Screen, agent: Agent) -> None:
    """Stops the agent as an orchestrator would. Raises `_DemoFailed` when it does not go as it should."""
    began = time.monotonic()
    screen.command(f"kill {agent.pid}")
    with screen.waiting("stopping"):
        status = agent.stop()
    if status != 0 or agent.is_listening():
        _fail(screen, agent, "The agent did not stop as it should", f"Its exit status is {status}.")
    screen.check(f"the agent has ended with status 0, {time.monotonic() - began:.1f} seconds after SIGTERM")


def _fail(screen: Screen, agent: Agent, what: str, why: str) -> NoReturn:
    screen.failure(what, why)
    if lines := agent.log_lines()[-_LOG_LINES:]:
        screen.say("The end of the agent's log:")
        screen.lines(lines)
    raise _DemoFailed


def _explain(error: Exception) -> str:
    """What is wrong; with a traceback when it is the demo itself."""
    if isinstance(error, _EXPLAINED):
        return str(error) or repr(error)
    return "".join(traceback.format_exception(error)).rstrip()
