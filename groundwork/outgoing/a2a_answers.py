"""Calling A2A agents through the protocol's library, and what they answer, with nothing of it lost.

The library keeps data in a form without whole numbers, in which 12 becomes 12.0 and 2^53+1 another number. So what
an agent has sent is kept beside, as long as the answer is read.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

import httpx
from a2a.types import AgentCard, AgentInterface, AgentSkill, Part, Task
from google.protobuf.json_format import MessageToDict

from groundwork.http.json_body import BadJson
from groundwork.outgoing.a2a_cards import list_interfaces, objects_of, text_of
from groundwork.outgoing.bounded_http import BoundedClient
from groundwork.outgoing.foreign_json import parse_foreign_json

_LARGEST_EXACT = 2.0**53

# Where parts are in an answer, whichever the protocol's version and binding; the rest is not looked into.
_LEADING_TO_PARTS = ("result", "task", "message", "msg", "status", "update", "artifacts", "parts", "content")


def read_agent_card(document: Any, card_url: str) -> AgentCard:
    """Return the card as the library takes it, with those interfaces alone that can be called.

    Raises `CardUnusable`.
    """
    faces = [
        AgentInterface(
            url=face.url, protocol_binding=face.binding, protocol_version=face.version, tenant=face.tenant
        )
        for face in list_interfaces(document, card_url)
    ]
    skills = [
        AgentSkill(
            id=text_of(each.get("id")),
            name=text_of(each.get("name")) or text_of(each.get("id")),
            description=text_of(each.get("description")),
        )
        for each in objects_of(document.get("skills"))
    ]
    return AgentCard(
        name=text_of(document.get("name")),
        description=text_of(document.get("description")),
        version=text_of(document.get("version")),
        supported_interfaces=faces,
        skills=skills,
    )


class SentData:
    """The data in the last answer of an agent, as it was sent."""

    def __init__(self) -> None:
        self._body = b""

    def heard(self, body: bytes) -> None:
        self._body = body
        self.__dict__.pop("_originals", None)

    def of(self, part: Part) -> Any:
        """The data of a part. Agents that are made with the library send 12 as 12.0, so that is 12 here."""
        value = MessageToDict(part.data)
        return _with_whole_numbers(self._originals.get(_canonical(value), value))

    @cached_property
    def _originals(self) -> dict[str, Any]:
        try:
            answer = parse_foreign_json(self._body)
        except BadJson:
            return {}
        return {_canonical(value): value for value in _data_in(answer)}


_SENT: ContextVar[SentData | None] = ContextVar("sent_data", default=None)


@contextmanager
def keeping_data() -> Iterator[SentData]:
    """Keeps what `AgentsClient` hears within the block."""
    sent = SentData()
    token = _SENT.set(sent)
    try:
        yield sent
    finally:
        _SENT.reset(token)


class AgentsClient(BoundedClient):
    """An HTTP client that lets `keeping_data` see what agents answer."""

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        response = await super().send(request, stream=stream, **options)
        if not stream and (sent := _SENT.get()) is not None:
            sent.heard(response.content)
        return response


def parts_of(task: Task) -> list[Part]:
    """What a task that is done has come to: its artifacts, after its last message where they have no words."""
    parts = [part for artifact in task.artifacts for part in artifact.parts]
    if any(part.text for part in parts):
        return parts
    return [*(part for part in task.status.message.parts), *parts]


def describe_file(part: Part) -> dict[str, Any]:
    """A file as A2A 1.0 writes it: `raw` in base64 or `url`, with `filename` and `mediaType` where known."""
    described: dict[str, Any] = MessageToDict(part)
    return described


def _data_in(value: Any) -> Iterator[Any]:
    """Data is in `data`, and a level deeper in 0.3's HTTP+JSON."""
    if isinstance(value, list):
        for each in value:
            yield from _data_in(each)
    elif isinstance(value, Mapping):
        if "data" in value:
            data = value["data"]
            yield data
            if isinstance(data, Mapping) and list(data) == ["data"]:
                yield data["data"]
        for name in _LEADING_TO_PARTS:
            if name in value:
                yield from _data_in(value[name])


def _canonical(value: Any) -> str:
    """The same for data as it was sent and as the library has it."""
    return json.dumps(_with_floats(value), sort_keys=True)


def _with_floats(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 10**308 else None
    if isinstance(value, Mapping):
        return {key: _with_floats(item) for key, item in value.items()}
    return [_with_floats(item) for item in value] if isinstance(value, list) else value


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {key: _with_whole_numbers(item) for key, item in value.items()}
    return [_with_whole_numbers(item) for item in value] if isinstance(value, list) else value
