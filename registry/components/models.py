"""Components as they are asked for, stored and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, get_args

from pydantic import Field
from typing_extensions import TypedDict

from registry.agents.labels import LabelFilter
from registry.checks import Body, Limit, Query
from registry.times import rfc3339

StoredKind = Literal["model", "prompt", "mcp"]
Kind = Literal["model", "prompt", "mcp", "agent"]
STORED_KINDS: tuple[StoredKind, ...] = get_args(StoredKind)
KINDS: tuple[Kind, ...] = get_args(Kind)

UseStatus = Literal["ready", "fallback", "failed"]
State = Literal["current", "behind", "failed", "fallback"]
STATES: tuple[State, ...] = get_args(State)

MAX_REFERENCES = 500
_LARGEST_INT = 2**31 - 1

Version = Annotated[int, Field(ge=1, le=_LARGEST_INT)]
Digest = Annotated[str, Field(min_length=1, max_length=100)]
_Id = Annotated[str, Field(min_length=1, max_length=255)]
_Cursor = Annotated[str, Field(max_length=4096)]


class ComponentsQuery(Query):
    kind: Kind | None = None
    limit: Limit = 100
    cursor: _Cursor | None = None


class VersionQuery(Query):
    """Which version, else the latest."""

    version: Version | None = None


class VersionsQuery(Query):
    limit: Limit = 100
    cursor: Version | None = None


class UsesQuery(Query):
    limit: Limit = 100
    cursor: _Cursor | None = None
    label: LabelFilter | None = None


class RollbackBody(Body):
    version: Version


class ComponentReference(Body):
    """What is asked for; `digest` is that of what the caller has of it."""

    kind: Kind
    id: _Id
    digest: Digest | None = None


class ResolveComponentsBody(Body):
    refs: Annotated[list[ComponentReference], Field(min_length=1, max_length=MAX_REFERENCES)]


class ComponentUse(Body):
    """What a process runs of a component: `version` and `digest` are those of the registry's that it has taken, if
    it has; `error` says why it has not taken the latest."""

    kind: Kind
    id: _Id
    version: Version | None = None
    digest: Digest | None = None
    status: UseStatus
    error: str | None = None


class ComponentUsesBody(Body):
    incarnation: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    refs: Annotated[list[ComponentUse], Field(max_length=MAX_REFERENCES)]


@dataclass(frozen=True)
class ComponentKey:
    tenant_id: str
    kind: Kind
    component_id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.component_id}"


@dataclass(frozen=True)
class ListedComponent:
    """A component without what it says. Who has changed an agent is not known."""

    kind: Kind
    component_id: str
    version: int
    digest: str
    updated_at: datetime
    updated_by: str | None


@dataclass(frozen=True)
class Component:
    """One version of a component; it never changes."""

    kind: Kind
    component_id: str
    version: int
    digest: str
    content: dict[str, Any]
    created_at: datetime
    created_by: str | None


@dataclass(frozen=True)
class Written:
    """`created`: it was not there before, or no longer; `changed`: what it says is a new version."""

    component: Component
    created: bool
    changed: bool


@dataclass(frozen=True)
class PastVersion:
    """`deleted`: the component was deleted when this was its version."""

    version: int
    digest: str
    rolled_back_to: int | None
    created_at: datetime
    created_by: str | None
    deleted: bool


@dataclass(frozen=True)
class Resolved:
    """`content` is None for somebody who has it."""

    version: int
    digest: str
    content: dict[str, Any] | None


@dataclass(frozen=True)
class KnownUse:
    """What a process has last said to run; `alive`: the process has been heard of in time."""

    agent_id: str
    incarnation: str
    alive: bool
    version: int | None
    digest: str | None
    state: State
    error: str
    reported_at: datetime


@dataclass(frozen=True)
class AgentUse:
    """What a living process of an agent has last said to run; `latest` is the version that there is now."""

    kind: Kind
    component_id: str
    incarnation: str
    version: int | None
    status: UseStatus
    error: str
    reported_at: datetime
    latest: int | None


@dataclass(frozen=True)
class ComponentPage:
    components: Sequence[ListedComponent]
    generation: int
    next_cursor: str | None


@dataclass(frozen=True)
class VersionPage:
    versions: Sequence[PastVersion]
    next_cursor: str | None


@dataclass(frozen=True)
class Rollout:
    """How far the processes that use a component are; `version` is None when it is not there."""

    version: int | None
    digest: str | None
    counts: Mapping[State, int]
    uses: Sequence[KnownUse]
    next_cursor: str | None


class ComponentAnswer(TypedDict):
    kind: Kind
    id: str
    version: int
    digest: str
    content: dict[str, Any]
    created_at: str
    created_by: str | None


class WrittenComponentAnswer(ComponentAnswer):
    changed: bool


class ListedComponentAnswer(TypedDict):
    kind: Kind
    id: str
    version: int
    digest: str
    updated_at: str
    updated_by: str | None


class ComponentsAnswer(TypedDict):
    components: list[ListedComponentAnswer]
    generation: int
    next_cursor: str | None


class ComponentVersionAnswer(TypedDict):
    version: int
    digest: str
    created_at: str
    created_by: str | None
    rolled_back_to: NotRequired[int]
    deleted: NotRequired[bool]


class ComponentVersionsAnswer(TypedDict):
    versions: list[ComponentVersionAnswer]
    next_cursor: str | None


class ComponentDeletedAnswer(TypedDict):
    kind: Kind
    id: str
    version: int
    deleted: bool


class ResolvedComponentAnswer(TypedDict):
    kind: Kind
    id: str
    found: bool
    version: NotRequired[int]
    digest: NotRequired[str]
    content: NotRequired[dict[str, Any]]


class ResolvedComponentsAnswer(TypedDict):
    generation: int
    components: list[ResolvedComponentAnswer]


class ComponentUsesAnswer(TypedDict):
    agent_id: str
    ok: bool


class ComponentUseAnswer(TypedDict):
    agent_id: str
    incarnation: str | None
    alive: bool
    version: int | None
    digest: str | None
    state: State
    error: NotRequired[str]
    reported_at: str


class AgentUseAnswer(TypedDict):
    kind: Kind
    id: str
    incarnation: str | None
    version: int | None
    latest: Annotated[int | None, Field(description="The version that there is now; null of an agent.")]
    status: UseStatus
    error: NotRequired[str]
    reported_at: str


class AgentUsesAnswer(TypedDict):
    agent_id: str
    components: Annotated[list[AgentUseAnswer], Field(description="Of processes that live, at most a thousand.")]


class ComponentStatusAnswer(TypedDict):
    kind: Kind
    id: str
    version: int | None
    digest: str | None
    summary: Annotated[dict[str, int], Field(description="How many living processes are in which state.")]
    agents: list[ComponentUseAnswer]
    next_cursor: str | None


def show_component(component: Component) -> ComponentAnswer:
    return {
        "kind": component.kind,
        "id": component.component_id,
        "version": component.version,
        "digest": component.digest,
        "content": component.content,
        "created_at": rfc3339(component.created_at),
        "created_by": component.created_by,
    }


def show_listed(component: ListedComponent) -> ListedComponentAnswer:
    return {
        "kind": component.kind,
        "id": component.component_id,
        "version": component.version,
        "digest": component.digest,
        "updated_at": rfc3339(component.updated_at),
        "updated_by": component.updated_by,
    }


def show_version(version: PastVersion) -> ComponentVersionAnswer:
    shown: ComponentVersionAnswer = {
        "version": version.version,
        "digest": version.digest,
        "created_at": rfc3339(version.created_at),
        "created_by": version.created_by,
    }
    if version.rolled_back_to is not None:
        shown["rolled_back_to"] = version.rolled_back_to
    if version.deleted:
        shown["deleted"] = True
    return shown


def show_resolved(reference: ComponentReference, resolved: Resolved | None) -> ResolvedComponentAnswer:
    shown: ResolvedComponentAnswer = {"kind": reference.kind, "id": reference.id, "found": resolved is not None}
    if resolved is not None:
        shown |= {"version": resolved.version, "digest": resolved.digest}
        if resolved.content is not None:
            shown["content"] = resolved.content
    return shown


def show_use(use: KnownUse) -> ComponentUseAnswer:
    shown: ComponentUseAnswer = {
        "agent_id": use.agent_id,
        "incarnation": use.incarnation or None,
        "alive": use.alive,
        "version": use.version,
        "digest": use.digest,
        "state": use.state,
        "reported_at": rfc3339(use.reported_at),
    }
    if use.error:
        shown["error"] = use.error
    return shown


def show_agent_use(use: AgentUse) -> AgentUseAnswer:
    shown: AgentUseAnswer = {
        "kind": use.kind,
        "id": use.component_id,
        "incarnation": use.incarnation or None,
        "version": use.version,
        "latest": use.latest,
        "status": use.status,
        "reported_at": rfc3339(use.reported_at),
    }
    if use.error:
        shown["error"] = use.error
    return shown
