"""What the steps of the demo share: an agent, a registry, a screen, and the habit of looking before saying so."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from demo.calls import Bearer, Call
from demo.console import Screen
from demo.service import Service, find_command

_PATIENCE_SECONDS = 30.0


class StepFailed(Exception):
    """Something is not as the demo says; the message tells what was seen instead."""


@dataclass
class Tour:
    """One run of the demo, as its steps see it."""

    screen: Screen
    agent: Service
    registry: Service
    http: httpx.AsyncClient
    tokens: dict[str, Bearer] = field(default_factory=dict)
    """Of the registry, by the role of their bearer."""
    checks: int = 0

    @property
    def project(self) -> Path:
        """The agent's directory."""
        return self.agent.directory

    def check(self, holds: bool, what: str, seen: object = None) -> None:
        """Says that `what` holds. Raises `StepFailed` with what was `seen` when it does not."""
        if not holds:
            raise StepFailed(
                f"this does not hold: {what}" + (f"\nSeen: {seen!r:.500}" if seen is not None else "")
            )
        self.checks += 1
        self.screen.check(what)

    async def get(self, path: str, show: Callable[[Any], Any] = lambda answer: answer) -> Any:
        """A call outside the admin API, with what `show` picks out of its answer. Returns all of the answer."""
        return await self.call(Call("GET", self.agent.url + path), show)

    async def call(self, call: Call, show: Callable[[Any], Any] = lambda answer: answer) -> Any:
        """Any call, shown as curl. Returns the answer. Raises `StepFailed` when it is an error."""
        response = await self._send(call)
        answer = _json(response)
        self.screen.answer(response.status_code, show(answer))
        if not response.is_success:
            raise StepFailed(f"{call.method} {call.url} was answered with {response.status_code}")
        return answer

    async def admin(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, refused: str | None = None
    ) -> Any:
        """An admin call, shown as curl, with its answer. Returns the data of it.

        With `refused`, the call has to fail with that code, and the error is returned. Raises `StepFailed` when
        the answer is another one.
        """
        response = await self._send(Call(method, self.agent.url + path, body))
        answer = _json(response)
        self.screen.answer(response.status_code, answer)
        outcome = answer["error"]["code"] if answer["error"] else None
        if outcome != refused or response.is_success is not (refused is None):
            raise StepFailed(f"{method} {path}: expected {refused or 'success'}, got {outcome or 'success'}")
        self.checks += 1
        return answer["error" if refused else "data"]

    async def ask_registry(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        role: str | None,
        show: Callable[[Any], Any] = lambda answer: answer,
        refused: int | None = None,
    ) -> Any:
        """A call of the registry with the token of a `role`, or with none, shown as curl. Returns the answer.

        With `refused`, the call has to fail with that status. Raises `StepFailed` when the answer is another one.
        """
        bearer = self.tokens[role] if role else None
        response = await self._send(Call(method, self.registry.url + path, body, bearer=bearer))
        answer = _json(response)
        self.screen.answer(response.status_code, show(answer))
        if response.is_success is not (refused is None) or refused not in (None, response.status_code):
            raise StepFailed(f"{method} {path}: expected {refused or 'success'}, got {response.status_code}")
        self.checks += 1
        return answer

    async def wait_for(self, call: Call, holds: Callable[[Any], bool], what: str) -> float:
        """Makes a call, not shown, until its answer `holds`. Returns the seconds. Raises `StepFailed`."""
        began = time.monotonic()
        with self.screen.waiting(f"waiting until {what}"):
            while not holds(answer := _json(await self.http.send(call.request(self.http)))):
                if time.monotonic() > began + _PATIENCE_SECONDS:
                    raise StepFailed(f"not within {_PATIENCE_SECONDS:.0f} seconds: {what}\nSeen: {answer!r:.500}")
                await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def run(self, *command: str, directory: Path, environment: Mapping[str, str]) -> str:
        """Runs one of the commands of this environment, not shown. Returns what it has printed.

        Raises `StepFailed` when its exit status is not 0.
        """
        process = await asyncio.create_subprocess_exec(
            find_command(command[0]),
            *command[1:],
            cwd=directory,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            printed, complained = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            text = (complained or printed).decode(errors="replace").strip()
            raise StepFailed(f"`{' '.join(command)}` ended with status {process.returncode}: {text}")
        return printed.decode(errors="replace").rstrip()

    async def _send(self, call: Call) -> httpx.Response:
        self.screen.curl(call)
        return await self.http.send(call.request(self.http))


@dataclass(frozen=True)
class Step:
    """A part of the demo; raises `StepFailed` as soon as something is not as it says."""

    title: str
    take: Callable[[Tour], Awaitable[None]]


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise StepFailed(
            f"{response.url} answered {response.status_code} without JSON: {response.text:.200}"
        ) from None
