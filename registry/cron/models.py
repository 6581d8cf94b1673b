"""Workflows that are started by the clock."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from croniter import croniter

from registry.errors import InvalidRequest


@dataclass(frozen=True)
class CronJob:
    """A workflow and the times at which it is started, in UTC."""

    tenant_id: str
    name: str
    cron_expression: str
    workflow_id: str
    workflow_version: str | None
    input: dict[str, Any]
    enabled: bool
    next_run_at: datetime
    last_run_at: datetime | None = None
    last_execution_id: UUID | None = None
    last_error: str | None = None


def next_run_after(cron_expression: str, moment: datetime) -> datetime:
    """Raises `InvalidRequest` for an expression that cannot be read, or that no time ever fits."""
    if not croniter.is_valid(cron_expression):
        raise InvalidRequest("cron_expression is not one: accepted are five fields, such as */5 * * * *")
    try:
        following: datetime = croniter(cron_expression, moment, ret_type=datetime).get_next()
    except ValueError:
        raise InvalidRequest("cron_expression fits no time") from None
    return following
