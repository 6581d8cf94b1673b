"""Agents as they are asked for, stored and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypedDict

from groundwork.outgoing.urls import has_credentials, split_url
from registry.agents.cards import describe_card
from registry.agents.labels import LabelChanges, LabelFilter
from registry.agents.lifecycle import Status
from registry.checks import Body, Flag, Limit, Query
from registry.times import rfc3339
from registry.usage.models import MOST_DAYS, AgentUsage, DayOfUsage

Health = Literal["ok", "failing"]
Origin = Literal["registered", "discovered"]
Direction = Literal["inbound", "outbound"]

DEFAULT_HEARTBEAT_SECONDS = 10.0
UNNAMED = ""
"""The incarnation of all processes of an agent that give none."""


def _check_admin_url(url: str) -> str:
    if has_credentials(split_url(url)) or "?" in url or "#" in url:
        raise ValueError("must not contain credentials, a query or a fragment")
    return url.rstrip("/")


class Departure(Body):
    """Which process of the agent it is; none: whoever it is that runs the agent."""

    incarnation: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class SignOfLife(Departure):
    """Which process it is, and how often it means to be heard of."""

    heartbeat_seconds: Annotated[float, Field(ge=0.1, le=86_400)] | None = None


class ProcessAddress(SignOfLife):
    """As a process registers: where its admin API can be reached, beside what it says of itself."""

    admin_url: Annotated[str, Field(max_length=2048), AfterValidator(_check_admin_url)] | None = None


class Heartbeat(SignOfLife):
    health: Health = "ok"
    reason: str | None = None
    drained: bool = False
    """The process takes no new turns, as it was told, and has none in hand."""
    usage: Annotated[list[DayOfUsage], Field(max_length=MOST_DAYS, default_factory=list)]


class DiscoverBody(Body):
    url: Annotated[str, Field(min_length=1, max_length=2048)]


_Name = Annotated[str, Field(min_length=1, max_length=255)]


class AgentChanges(Body):
    """What may be changed of an agent that is there. A label that is null is taken away."""

    model_config = ConfigDict(extra="forbid")

    labels: LabelChanges


class Filters(Query):
    """Which agents a list is of."""

    status: Status | None = None
    skill: _Name | None = None
    protocol: _Name | None = None
    alive: Flag | None = None
    label: LabelFilter | None = None


class AgentsQuery(Filters):
    limit: Limit | None = None
    cursor: Annotated[str, Field(max_length=2048)] | None = None


class SearchQuery(Query):
    """`skills` are separated by commas; an agent that has one of them is found."""

    skills: Annotated[str, Field(min_length=1, max_length=4096)]
    trust_domain: _Name | None = None


@dataclass(frozen=True)
class Selection:
    """Which agents are wanted; None: whichever they have. `skills` are those of which an agent has one."""

    status: Status | None = None
    skills: Sequence[str] | None = None
    protocol: str | None = None
    alive: bool | None = None
    trust_domain: str | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Entry:
    """An agent's row, as far as what may become of it depends on it."""

    agent_id: str
    uri: str
    status: Status
    origin: Origin
    card_url: str | None
    has_instances: bool
    has_left: bool
    component_version: int


@dataclass(frozen=True)
class Instance:
    """A process of an agent. One that is not `living` has been silent for too long."""

    incarnation: str
    living: bool
    health: Health
    health_reason: str
    last_heartbeat_at: datetime | None
    joined_at: datetime
    drained: bool


@dataclass(frozen=True)
class Agent:
    """An agent that is shown. It is alive when it is active, and one of its processes lives and is healthy."""

    agent_id: str
    status: Status
    alive: bool
    health: Health | None
    """Of the processes that live; None when none does."""
    card: dict[str, Any]
    labels: dict[str, str]
    registered_at: datetime
    updated_at: datetime
    last_heartbeat_at: datetime | None
    usage: AgentUsage


@dataclass(frozen=True)
class Registered:
    agent_id: str
    tenant_id: str
    created: bool
    status: Status
    component_generation: int


@dataclass(frozen=True)
class Heard:
    """What a heartbeat is answered with."""

    status: Status
    component_generation: int
    erasures: bool
    """There is something that the agent is to erase; `POST /agents/{id}/erasures` says what."""


@dataclass(frozen=True)
class AgentPage:
    agents: list[Agent]
    next_cursor: str | None


class AgentRegisteredAnswer(TypedDict):
    agent_id: str
    tenant_id: str
    created: bool
    status: Status
    component_generation: int


class TraceQuery(Query):
    limit: Limit = 20


@dataclass(frozen=True)
class Traced:
    """Something that went on: `inbound` to the agent, or `outbound` from it or about it."""

    at: datetime
    direction: Direction
    event_type: str
    summary: str


class TracedAnswer(TypedDict):
    timestamp: str
    direction: Direction
    event_type: str
    summary: str


class TraceAnswer(TypedDict):
    agent_id: str
    events: list[TracedAnswer]


class AgentStatusAnswer(TypedDict):
    agent_id: str
    status: Status


class HeartbeatAnswer(TypedDict):
    agent_id: str
    ok: bool
    status: Status
    component_generation: int
    erasures: bool


class AgentDeletedAnswer(TypedDict):
    agent_id: str
    deleted: bool


class InstanceAnswer(TypedDict):
    incarnation: str | None
    alive: bool
    health: Health
    health_reason: str | None
    last_heartbeat: str | None
    joined_at: str
    drained: Annotated[bool, Field(description="It takes no new turns, and has none in hand.")]


class CapabilitiesAnswer(TypedDict):
    skills: list[dict[str, Any]]
    protocols: list[str]
    tools_provided: list[str]
    tools_consumed: list[str]


class AgentAnswer(TypedDict):
    id: str
    agent_id: str
    status: Status
    alive: bool
    registered_at: str
    updated_at: str
    last_heartbeat: str | None
    card: Annotated[dict[str, Any], Field(description="As it was given.")]
    labels: Annotated[dict[str, str], Field(description="The card's, as operators have changed them since.")]
    uri: str
    url: str
    name: str
    description: str
    version: str
    autonomy: str
    auth: dict[str, Any]
    capabilities: CapabilitiesAnswer
    usage: Annotated[AgentUsage, Field(description="What its turns have used, as its heartbeats say.")]


class AgentDetailAnswer(AgentAnswer):
    health: Annotated[Health | None, Field(description="Of the processes that live; null when none does.")]
    instances: Annotated[list[InstanceAnswer], Field(description="The latest first, and no more than a hundred.")]


class AgentsAnswer(TypedDict):
    agents: list[AgentAnswer]
    next_cursor: NotRequired[Annotated[str | None, Field(description="Only on a page; null on the last one.")]]


def describe_agent(agent: Agent) -> dict[str, Any]:
    """The agent as clients of all kinds look for it: with its card inside, and the card's parts beside it."""
    return {
        "id": agent.agent_id,
        "agent_id": agent.agent_id,
        "status": agent.status,
        "alive": agent.alive,
        "registered_at": rfc3339(agent.registered_at),
        "updated_at": rfc3339(agent.updated_at),
        "last_heartbeat": rfc3339(agent.last_heartbeat_at),
        "card": agent.card,
        "labels": agent.labels,
        **describe_card(agent.card),
        "usage": agent.usage,
    }


def describe_in_detail(agent: Agent, instances: Sequence[Instance]) -> dict[str, Any]:
    shown: list[Mapping[str, Any]] = [_describe_instance(instance) for instance in instances]
    return {**describe_agent(agent), "health": agent.health, "instances": shown}


def _describe_instance(instance: Instance) -> dict[str, Any]:
    return {
        "incarnation": instance.incarnation or None,
        "alive": instance.living and instance.health == "ok",
        "health": instance.health,
        "health_reason": instance.health_reason or None,
        "last_heartbeat": rfc3339(instance.last_heartbeat_at),
        "joined_at": rfc3339(instance.joined_at),
        "drained": instance.drained,
    }
