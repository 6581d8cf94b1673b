"""Entries of the audit log as they are asked for and shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from typing_extensions import TypedDict

from registry.checks import Limit, Offset, Query
from registry.times import rfc3339

Wanted = Annotated[str, Field(min_length=1, max_length=255)]


RefusalKind = Literal["token", "role"]
"""The token lets nobody in any more, or its role does not let it do that."""


class RefusalKey(NamedTuple):
    """Whose refusals, and of which kind."""

    tenant_id: str
    actor_id: str
    kind: RefusalKind


class AuditQuery(Query):
    """Which entries, and which page of them."""

    execution_id: Wanted | None = None
    actor_id: Wanted | None = None
    event_type: Wanted | None = None
    limit: Limit = 50
    offset: Offset = 0
    after: (
        Annotated[
            int,
            Field(
                ge=0,
                le=2**63 - 1,
                description="Entries that follow this sequence, as JSON lines, the oldest first.",
            ),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _after_stands_alone(self) -> Self:
        others = self.model_fields_set - {"after", "limit"}
        if self.after is not None and others:
            raise ValueError(f"after goes with limit alone, not with {' and '.join(sorted(others))}")
        return self


@dataclass(frozen=True)
class Entry:
    """What was done, or refused, by whom, to what, and when."""

    sequence: int
    created_at: datetime
    event_type: str
    actor_type: str
    actor_id: str
    role: str | None
    subject: str
    execution_id: str | None
    detail: dict[str, Any]
    request_id: str | None
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True)
class Page:
    """Some entries, the newest first; `total` is how many there are altogether."""

    entries: Sequence[Entry]
    total: int
    limit: int
    offset: int


class ShownEntry(TypedDict):
    """An entry as it stands in answers."""

    id: str
    event_id: str
    sequence: int
    execution_id: str | None
    event_type: str
    actor_id: str
    actor_type: str
    role: str | None
    subject: str
    raw_event: dict[str, Any]
    request_id: str | None
    created_at: str
    hash: str
    previous_hash: str


class ShownPage(TypedDict):
    items: list[ShownEntry]
    total: int
    limit: int
    offset: int


def show_entry(entry: Entry) -> ShownEntry:
    entry_id = f"audit_{entry.sequence:012d}"
    return {
        "id": entry_id,
        "event_id": entry_id,
        "sequence": entry.sequence,
        "execution_id": entry.execution_id,
        "event_type": entry.event_type,
        "actor_id": entry.actor_id,
        "actor_type": entry.actor_type,
        "role": entry.role,
        "subject": entry.subject,
        "raw_event": entry.detail,
        "request_id": entry.request_id,
        "created_at": rfc3339(entry.created_at),
        "hash": entry.hash.hex(),
        "previous_hash": entry.previous_hash.hex(),
    }


def show_page(page: Page) -> ShownPage:
    items = [show_entry(entry) for entry in page.entries]
    return {"items": items, "total": page.total, "limit": page.limit, "offset": page.offset}
