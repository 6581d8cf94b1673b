"""Workers as they announce themselves and are shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from registry.times import rfc3339

WorkerStatus = Literal["active", "draining"]
"""A worker that is draining finishes what it has in hand, and takes nothing more."""


@dataclass(frozen=True)
class Worker:
    """A worker that lives."""

    worker_id: str
    queue_types: Sequence[str]
    status: WorkerStatus
    in_hand: Sequence[str]
    started_at: datetime
    last_seen_at: datetime


class WorkerAnswer(TypedDict):
    worker_id: str
    queue_types: list[str]
    status: Annotated[
        WorkerStatus, Field(description="`draining`: it finishes what it has, and takes nothing more.")
    ]
    in_hand: Annotated[list[str], Field(description="What it works on.")]
    started_at: str
    last_seen: str


class WorkersAnswer(TypedDict):
    workers: list[WorkerAnswer]


def describe_worker(worker: Worker) -> dict[str, Any]:
    return {
        "worker_id": worker.worker_id,
        "queue_types": list(worker.queue_types),
        "status": worker.status,
        "in_hand": list(worker.in_hand),
        "started_at": rfc3339(worker.started_at),
        "last_seen": rfc3339(worker.last_seen_at),
    }
