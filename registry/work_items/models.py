"""Work items as workers see them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class WorkItem:
    """Something that a worker outside is asked to do. `lease_fence` is greater with every worker that takes it."""

    work_item_id: UUID
    execution_id: UUID
    node_id: str
    queue_type: str
    payload: dict[str, Any]
    attempt: int
    idempotency_key: str
    worker_id: str | None
    lease_fence: int
