"""Erasures as they are asked for, handed to agents, and answered."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from registry.checks import Body

ThreadId = Annotated[str, Field(min_length=1, max_length=255)]

MOST_THREADS = 1000


class ErasureBody(Body):
    """Whose words are to go: those of a caller, or those in threads and executions, by their ids."""

    caller: ThreadId | None = None
    thread_ids: Annotated[list[ThreadId], Field(max_length=MOST_THREADS, default_factory=list)]


Count = Annotated[int, Field(ge=0, le=2**53)]
_Table = Annotated[str, Field(min_length=1, max_length=63)]
_Peer = Annotated[str, Field(min_length=1, max_length=255)]


class ReceiptBody(Body):
    """What an agent has done: how many rows, by table, or why it could not. Nobody's words."""

    agent_id: Annotated[str, Field(min_length=1, max_length=255)]
    part: Annotated[int, Field(ge=0)] = 0
    rows: Annotated[dict[_Table, Count], Field(max_length=100, default_factory=dict)]
    peers: Annotated[list[_Peer], Field(max_length=200, default_factory=list)]
    error: Annotated[str, Field(max_length=500)] | None = None


@dataclass(frozen=True)
class AskedAgent:
    """An agent of the tenant, and what it has answered. One that sends no heartbeats of its own `asks_itself`
    never: somebody has to erase there, and give the receipt."""

    agent_id: str
    asks_itself: bool
    attempts: int
    last_error: str | None
    rows: dict[str, int]
    peers: list[str]
    answered_at: datetime | None


@dataclass(frozen=True)
class Erasure:
    """What was asked for and how far it is. `rows` are the registry's own, by table."""

    erasure_id: UUID
    tenant_id: str
    position: int
    subject_hash: bytes
    rows: dict[str, int]
    registry_done_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    agents: list[AskedAgent]


@dataclass(frozen=True)
class Order:
    """What one agent has to erase now; `part` goes back with its receipt."""

    erasure_id: UUID
    part: int
    caller: str | None
    thread_ids: list[str]


@dataclass(frozen=True)
class Work:
    """An erasure of which the registry's own part is to be done."""

    erasure_id: UUID
    tenant_id: str
    caller: str | None
    thread_ids: list[str]
    execution_ids: list[UUID]


@dataclass(frozen=True)
class Found:
    """What there is in the registry, by table, and which agents would be asked."""

    rows: dict[str, int]
    agents: list[str]


Rows = dict[str, Any]
