"""What components say, by kind: what is accepted, and how it is told whether two say the same."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter

from groundwork.outgoing.urls import split_url
from registry.checks import Body, check_value
from registry.components.models import StoredKind
from registry.components.secrecy import hide_secrets, secrets_in
from registry.components.templates import problem_in
from registry.errors import InvalidRequest, PayloadTooLarge

MAX_BYTES = 256 * 1024

_HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class Content:
    """`text` is the JSON of what was said, as the digest is made of it: keys in order, no blanks."""

    text: str
    digest: str


def read_content(kind: StoredKind, document: Mapping[str, Any]) -> Content:
    """Raises `PayloadTooLarge`, and `InvalidRequest` naming all that is wrong, in which no secret stands."""
    content = build_content(document)
    if len(content.text.encode()) > MAX_BYTES:
        raise PayloadTooLarge(MAX_BYTES)
    if problems := [*secrets_in(document), *map(hide_secrets, _problems_in(kind, document))]:
        raise InvalidRequest(*dict.fromkeys(problems))
    return content


def build_content(document: Mapping[str, Any]) -> Content:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Content(text, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def _problems_in(kind: StoredKind, document: Mapping[str, Any]) -> Iterator[str]:
    try:
        check_value(_SHAPES[kind], document)
    except InvalidRequest as error:
        yield from error.problems
    if more := _MORE.get(kind):
        yield from more(document)


def _check_model(text: str) -> str:
    provider, _, name = text.partition(":")
    if text and not (provider and name and text.isprintable() and " " not in text):
        raise ValueError("accepted: provider:name, such as openai:gpt-4.1-mini, or nothing for the offline model")
    return text


def _check_url(text: str) -> str:
    split_url(text)
    return text


def _check_line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("accepted: printable characters, without blanks around them")
    return text


def _check_command(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("accepted: printable characters")
    return text


def _named_by(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(values: dict[str, str]) -> dict[str, str]:
        if not all(map(pattern.fullmatch, values)):
            raise ValueError(f"accepted are names of {what}")
        return values

    return AfterValidator(check)


_Line = Annotated[str, StringConstraints(max_length=8192), AfterValidator(_check_line)]


class ModelContent(Body):
    """What else stands beside `model` is given to the model as it is."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, StringConstraints(max_length=255), AfterValidator(_check_model)]


class PromptContent(Body):
    model_config = ConfigDict(extra="forbid")

    template: Annotated[str, StringConstraints(max_length=MAX_BYTES)]
    description: Annotated[str, StringConstraints(max_length=10_000)] | None = None


class McpContent(Body):
    """Either `url`, perhaps with `headers`, or `command`, perhaps with `args` and `env`; and a call's time."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(max_length=2048), AfterValidator(_check_url)] | None = None
    headers: Annotated[dict[str, _Line], Field(max_length=100), _named_by(_HEADER, "headers")] | None = None
    command: Annotated[str, StringConstraints(max_length=4096), AfterValidator(_check_command)] | None = None
    args: Annotated[list[str], Field(max_length=1000)] | None = None
    env: Annotated[dict[str, str], Field(max_length=1000), _named_by(_VARIABLE, "variables")] | None = None
    timeout_seconds: Annotated[float, Field(ge=0.1, le=86_400, strict=True)] | None = None


_SHAPES: Mapping[StoredKind, TypeAdapter[Any]] = {
    "model": TypeAdapter(ModelContent),
    "prompt": TypeAdapter(PromptContent),
    "mcp": TypeAdapter(McpContent),
}


def _problems_in_prompt(document: Mapping[str, Any]) -> Iterator[str]:
    template = document.get("template")
    if isinstance(template, str) and (problem := problem_in(template)):
        yield f"template {problem}"


def _problems_in_mcp(document: Mapping[str, Any]) -> Iterator[str]:
    given = {name for name, value in document.items() if value is not None}
    if len(given & {"url", "command"}) != 1:
        yield "url or command is required, and not both"
    elif "command" in given and "headers" in given:
        yield "headers goes with url, not with command"
    elif "url" in given:
        yield from (f"{name} goes with command, not with url" for name in ("args", "env") if name in given)


_MORE: Mapping[StoredKind, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "prompt": _problems_in_prompt,
    "mcp": _problems_in_mcp,
}
