"""A registry as the command line speaks to it: over HTTP, from wherever the registry can be reached."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import typer
from httpx import codes

from groundwork.command import complain
from groundwork.telemetry.logs import redact
from registry.cli.common import PROGRAM, load, run
from registry.errors import RegistryError

if TYPE_CHECKING:
    from registry.settings import RegistrySettings

Result = TypeVar("Result")

# The registry may in turn have to wait for an agent that it is to discover.
_TIMEOUT = httpx.Timeout(60, connect=5)


class RegistryNotReached(RegistryError):
    """There is no answer, or none that a registry gives."""


class CallRefused(Exception):
    """The registry said no; the message is what it said."""


class RefusedForNow(CallRefused):
    """The registry is there, and cannot reach its database."""


class RegistryCalls:
    """Calls of one registry. Each raises `RegistryNotReached` or `CallRefused`."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        return await self._call("GET", path, params=query)

    async def post(
        self, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return await self._call("POST", path, json=body, headers=headers)

    async def put(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return await self._call("PUT", path, json=body, headers=headers)

    async def delete(self, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        return await self._call("DELETE", path, headers=headers)

    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Server-sent events as they come in, until the registry ends them."""
        try:
            async with self._http.stream("GET", self._url + path, params=query) as answer:
                if answer.is_error:
                    await answer.aread()
                    self._object_in(answer)
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise self._not_reached(error) from error

    async def _call(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, self._url + path, **given)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise self._not_reached(error) from error
        return self._object_in(answer)

    def _not_reached(self, error: Exception) -> RegistryNotReached:
        return RegistryNotReached(
            redact(f"cannot reach the registry at {self._url}: {error or type(error).__name__}")
        )

    def _object_in(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            value = answer.json()
        except ValueError:
            value = None
        if answer.is_error:
            kind = RefusedForNow if answer.status_code == codes.SERVICE_UNAVAILABLE else CallRefused
            raise kind(_reason(answer, value))
        if not isinstance(value, dict):
            raise RegistryNotReached(redact(f"what answers at {self._url} is not a registry"))
        return value


def call(url: str | None, work: Callable[[RegistryCalls], Awaitable[Result]]) -> Result:
    """Runs a command on the registry at `url`, or on the one that the settings name. Raises `typer.Exit`."""

    async def speak() -> Result:
        async with _open_calls(load(), url) as calls:
            return await work(calls)

    try:
        result: Result = run(speak())
    except CallRefused as refusal:
        complain(PROGRAM, str(refusal))
        raise typer.Exit(1) from None
    return result


@asynccontextmanager
async def _open_calls(settings: "RegistrySettings", url: str | None) -> AsyncIterator[RegistryCalls]:
    token = settings.jamjet_token.get_secret_value()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(headers=headers, timeout=_TIMEOUT) as http:
        yield RegistryCalls((url or settings.public_url).rstrip("/"), http)


def _reason(answer: httpx.Response, value: object) -> str:
    said = value.get("error") if isinstance(value, dict) else None
    text = said if isinstance(said, str) else f"the registry answered {answer.status_code} {answer.reason_phrase}"
    return f"{text} (set JAMJET_TOKEN to a token of this registry)" if answer.status_code == 401 else text
