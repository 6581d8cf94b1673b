"""A registry as the command line speaks to it: over HTTP, from wherever the registry can be reached."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import typer
from httpx import codes

from groundwork.command import complain
from groundwork.telemetry.logs import hide, redact
from registry.cli.common import PROGRAM, run
from registry.cli.places import Place, named_place, own_place
from registry.errors import RegistryError

Result = TypeVar("Result")

# The registry may in turn have to wait for an agent that it is to discover.
_TIMEOUT = httpx.Timeout(60, connect=5)
_PAGE = 200


class RegistryNotReached(RegistryError):
    """There is no answer, or none that a registry gives."""


class CallRefused(Exception):
    """The registry said no; the message is what it said."""


class RefusedForNow(CallRefused):
    """The registry is there, and cannot reach its database."""


class RegistryCalls:
    """Calls of one registry. Each raises `RegistryNotReached` or `CallRefused`."""

    def __init__(self, place: Place, http: httpx.AsyncClient) -> None:
        self._url = place.url
        self._hint = place.hint
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

    async def patch(
        self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return await self._call("PATCH", path, json=body, params=query)

    async def admin(
        self, method: str, agent_id: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any]:
        """What the admin API of an agent answers, by way of the registry."""
        agent = quote(agent_id, safe="", errors="surrogateescape")
        answer = await self._call(method, f"/agents/{agent}/admin/{path}", params=query, json=body)
        data: dict[str, Any] = answer["data"]
        return data

    async def all_of(self, path: str, key: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """All that a list with an offset has, page by page."""
        found: list[Any] = []
        while True:
            page = await self.get(path, {**(query or {}), "limit": str(_PAGE), "offset": str(len(found))})
            found += page[key]
            if len(page[key]) < _PAGE:
                return {**page, key: found}

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

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[str]:
        """The lines of an answer as they come in."""
        try:
            async with self._http.stream("GET", self._url + path, params=query) as answer:
                if answer.is_error:
                    await answer.aread()
                    self._object_in(answer)
                async for line in answer.aiter_lines():
                    yield line
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
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
            raise kind(_reason(answer, value, self._hint))
        if not isinstance(value, dict):
            raise RegistryNotReached(redact(f"what answers at {self._url} is not a registry"))
        return value


def call(url: str | None, work: Callable[[RegistryCalls], Awaitable[Result]]) -> Result:
    """Runs a command on the registry that is named, or on the one that the settings describe. Raises
    `typer.Exit`."""
    place = named_place(url)

    async def speak() -> Result:
        async with _open_calls(place or own_place()) as calls:
            return await work(calls)

    try:
        result: Result = run(speak())
    except CallRefused as refusal:
        complain(PROGRAM, str(refusal))
        raise typer.Exit(1) from None
    return result


@asynccontextmanager
async def _open_calls(place: Place) -> AsyncIterator[RegistryCalls]:
    hide([place.token])
    headers = {"Authorization": f"Bearer {place.token}"} if place.token else {}
    async with httpx.AsyncClient(headers=headers, timeout=_TIMEOUT) as http:
        yield RegistryCalls(replace(place, url=place.url.rstrip("/")), http)


def _reason(answer: httpx.Response, value: object, hint: str) -> str:
    said = value.get("error") if isinstance(value, dict) else None
    if isinstance(said, dict):  # as an agent's admin API has it
        said = said.get("message")
    text = said if isinstance(said, str) else f"the registry answered {answer.status_code} {answer.reason_phrase}"
    return f"{text} ({hint})" if answer.status_code == 401 else text
