"""What the steps of the demo share: one agent, one screen, and the habit of looking before saying so."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.agent_process import Agent
from demo.calls import Call
from demo.console import Screen


class StepFailed(Exception):
    """Something is not as the demo says; the message tells what was seen instead."""


@dataclass
class Tour:
    """One run of the demo, as its steps see it."""

    screen: Screen
    agent: Agent
    http: httpx.AsyncClient
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
