"""The cards of agents, JamJet's and A2A's (0.3 and 1.0), as far as the registry reads them.

What is in a card has been written by others. It is stored and shown as data, and nothing in it is ever followed
but the address that it names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter
from pydantic_core import PydanticCustomError

from groundwork.http.json_body import BadJson, parse_json
from groundwork.outgoing.urls import is_url
from registry.agents.labels import Labels
from registry.checks import Body, check_value, is_id
from registry.errors import InvalidRequest

# "jamjet" is how JamJet's agents name each other without saying where they are.
_SCHEMES = ("http", "https", "jamjet")
_LONGEST_URI = 2048
# Those of RFC 3986; whatever else an address is made of comes percent-encoded.
_URI_CHARACTERS = re.compile(r"(?:[\w:/?#\[\]@!$&'()*+,;=.~-]|%[0-9a-f]{2})+", re.ASCII | re.IGNORECASE)
_URI_EXPECTED = "should be an absolute http or https URL with a host, without credentials"

_DEFAULT_PORTS = {"http": 80, "https": 443}

# What only A2A's cards have at the top.
_MARKS_OF_A2A = (
    "additionalInterfaces",
    "defaultInputModes",
    "defaultOutputModes",
    "preferredTransport",
    "protocolVersion",
    "supportedInterfaces",
)


@dataclass(frozen=True)
class Card:
    """What the registry needs of a card. `agent_id` is None when the card, like A2A's, has none."""

    agent_id: str | None
    uri: str
    name: str
    skills: tuple[str, ...]
    """Names and ids of skills, which the lists are filtered by."""
    protocols: tuple[str, ...]
    """What the lists are filtered by: a card of `mcp_server` is one of `mcp` too."""
    document: dict[str, Any]
    """The card as it was given."""
    labels: Mapping[str, str] = field(default_factory=dict)
    found_at: str | None = None
    """The URL that it was fetched from; None when it was not fetched."""

    def fetched_from(self, url: str) -> "Card":
        return replace(self, found_at=url)


def read_card(document: Mapping[str, Any]) -> Card:
    """Raises `InvalidRequest` naming every field that is wrong."""
    if problems := list(_problems_in(document)):
        raise InvalidRequest(*problems)
    described = describe_card(document)
    capabilities = described["capabilities"]
    return Card(
        agent_id=document.get("id"),
        uri=described["uri"],
        name=described["name"],
        skills=_without_repetition(
            text for skill in capabilities["skills"] for text in (skill["id"], skill["name"])
        ),
        protocols=_without_repetition(
            text for name in capabilities["protocols"] for text in (name, *_families_of(name))
        ),
        document=dict(document),
        labels=document.get("labels") or {},
    )


def describe_card(document: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a card in JamJet's shape, whichever shape it has; `document` is one that `read_card` accepts.

    Schemas that came as text, as JamJet's own runtime wants them, are shown as the objects that they are.
    """
    uri = _uri_in(document)
    capabilities = document.get("capabilities") or {}
    return {
        "uri": uri,
        "url": uri,
        "name": document.get("name") or document.get("id"),
        "description": document.get("description") or "",
        "version": document.get("version") or "",
        "autonomy": document.get("autonomy") or "guided",
        "auth": document.get("auth") or _auth_of_a2a(document),
        "capabilities": {
            "skills": [_describe_skill(skill) for skill in _skills_in(document)],
            "protocols": _protocols_in(document),
            "tools_provided": capabilities.get("tools_provided") or [],
            "tools_consumed": capabilities.get("tools_consumed") or [],
        },
    }


def is_agent_uri(text: str) -> bool:
    """Whether an agent can be said to be there: an absolute URL with a host and without credentials."""
    return len(text) <= _LONGEST_URI and bool(_URI_CHARACTERS.fullmatch(text)) and is_url(text, _SCHEMES)


def origin_of(uri: str) -> tuple[str, str | None, int | None]:
    """Whose word a URI is: its scheme, host and port."""
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _check_uri(text: str) -> str:
    if not is_agent_uri(text):
        raise PydanticCustomError(
            "uri", "should be an absolute http or https URL with a host, without credentials"
        )
    return text


def _check_id(text: str) -> str:
    if not is_id(text):
        raise PydanticCustomError("id", "should be 1 to 255 printable characters without blanks and slashes")
    return text


def _check_name(text: str) -> str:
    if not text.strip() or re.search(r"[\x00-\x1f\x7f]", text):
        raise PydanticCustomError("name", "should be a line of text")
    return text


def _check_schema(value: object) -> object:
    if value is not None and not isinstance(value, str | dict):
        raise PydanticCustomError("schema", "should be a JSON Schema, as an object or as text")
    return value


_Uri = Annotated[str, AfterValidator(_check_uri)]
_Name = Annotated[str, StringConstraints(max_length=255), AfterValidator(_check_name)]
_Text = Annotated[str, StringConstraints(max_length=10_000)]
_Schema = Annotated[Any, AfterValidator(_check_schema)]
_Names = Annotated[list[_Name], Field(max_length=1000)]


class _Skill(Body):
    """JamJet's skills have schemas, A2A's an id."""

    id: _Name | None = None
    name: _Name
    description: _Text | None = None
    input_schema: _Schema = None
    output_schema: _Schema = None


_Skills = Annotated[list[_Skill], Field(max_length=1000)]


class _Capabilities(Body):
    """JamJet's; A2A's have none of these."""

    skills: _Skills | None = None
    protocols: _Names | None = None
    tools_provided: _Names | None = None
    tools_consumed: _Names | None = None


class _Interface(Body):
    """Not each has a URL that is one of ours: gRPC is served at `host:port`."""

    url: Annotated[str, StringConstraints(max_length=_LONGEST_URI)]


class _Card(Body):
    """The fields of all kinds of cards; `uri` is JamJet's, `url` A2A's of 0.3, `supportedInterfaces` of 1.0."""

    id: Annotated[str, AfterValidator(_check_id)] | None = None
    uri: _Uri | None = None
    url: _Uri | None = None
    supported_interfaces: Annotated[
        list[_Interface] | None, Field(alias="supportedInterfaces", max_length=100)
    ] = None
    name: _Name | None = None
    description: _Text | None = None
    version: Annotated[str, StringConstraints(max_length=255)] | None = None
    capabilities: _Capabilities | None = None
    skills: _Skills | None = None
    autonomy: _Name | None = None
    auth: dict[str, Any] | None = None
    security_schemes: Annotated[dict[str, dict[str, Any]] | None, Field(alias="securitySchemes")] = None
    security: list[dict[str, Any]] | None = None
    security_requirements: Annotated[list[dict[str, Any]] | None, Field(alias="securityRequirements")] = None
    labels: Labels | None = None


_CARD = TypeAdapter(_Card)


def _problems_in(document: Mapping[str, Any]) -> Iterator[str]:
    try:
        check_value(_CARD, document)
    except InvalidRequest as error:
        yield from error.problems
        readable = False
    else:
        readable = True
    if document.get("id") is None and document.get("name") is None:
        yield "name is required, or an id"
    if document.get("uri") is None and document.get("url") is None:
        if not document.get("supportedInterfaces"):
            yield "uri is required"
        elif readable and _uri_in(document) is None:
            yield f"supportedInterfaces.0.url {_URI_EXPECTED}"


def _uri_in(document: Mapping[str, Any]) -> str | None:
    """Where the agent is: what the card says in so many words, else its first interface that HTTP leads to."""
    interfaces = document.get("supportedInterfaces") or []
    named: list[str | None] = [document.get("uri"), document.get("url"), *(each["url"] for each in interfaces)]
    return next((url for url in named if url and is_agent_uri(url)), None)


def is_a2a(document: Mapping[str, Any]) -> bool:
    """Whether the card is one of A2A's, of any version, and none of JamJet's."""
    return document.get("skills") is not None or any(document.get(mark) is not None for mark in _MARKS_OF_A2A)


def _protocols_in(document: Mapping[str, Any]) -> list[str]:
    named = (document.get("capabilities") or {}).get("protocols") or []
    return list(_without_repetition([*named, *(["a2a"] if is_a2a(document) else [])]))


def _families_of(protocol: str) -> Iterator[str]:
    """JamJet's cards tell servers and clients of MCP apart, its lists do not."""
    if protocol in ("mcp_server", "mcp_client"):
        yield "mcp"


def _skills_in(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """JamJet's skills, then those of A2A's that are not among them."""
    capabilities = document.get("capabilities") or {}
    given = [*(capabilities.get("skills") or []), *(document.get("skills") or [])]
    first: dict[str, Mapping[str, Any]] = {}
    for skill in given:
        first.setdefault(skill.get("id") or skill["name"], skill)
    return list(first.values())


def _describe_skill(skill: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **skill,
        "id": skill.get("id") or skill["name"],
        "description": skill.get("description") or "",
        "input_schema": _schema_object(skill.get("input_schema")),
        "output_schema": _schema_object(skill.get("output_schema")),
    }


def _schema_object(schema: Any) -> Any:
    """Text that is no JSON object stays as it is."""
    if not isinstance(schema, str):
        return schema or {}
    try:
        parsed = parse_json(schema.encode("utf-8", "replace"))
    except BadJson:
        return schema
    return parsed if isinstance(parsed, dict) else schema


def _auth_of_a2a(document: Mapping[str, Any]) -> dict[str, Any]:
    """What callers of an A2A agent need, in JamJet's words; nothing for other cards."""
    if not is_a2a(document):
        return {}
    if not (document.get("securityRequirements") or document.get("security")):
        return {"type": "none"}
    schemes = (document.get("securitySchemes") or {}).values()
    return next(filter(None, map(_auth_of_scheme, schemes)), {})


def _auth_of_scheme(scheme: Mapping[str, Any]) -> dict[str, Any] | None:
    """In 0.3 a scheme has a type, in 1.0 it is the value of a field that names the type."""
    kind, scheme = next(
        (
            (kind, scheme[field])
            for field, kind in _SCHEMES_OF_1_0.items()
            if isinstance(scheme.get(field), Mapping)
        ),
        (scheme.get("type"), scheme),
    )
    if kind == "apiKey":
        return {"type": "api_key", "header": scheme.get("name")}
    if kind in ("oauth2", "openIdConnect") or (kind == "http" and str(scheme.get("scheme")).lower() == "bearer"):
        return {"type": "bearer_token", "scopes": []}
    return None


_SCHEMES_OF_1_0 = {
    "apiKeySecurityScheme": "apiKey",
    "httpAuthSecurityScheme": "http",
    "oauth2SecurityScheme": "oauth2",
    "openIdConnectSecurityScheme": "openIdConnect",
}


def _without_repetition(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
