"""Records of turns in JSON, the same for the admin API and the command."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from agent_runtime.turn_records.models import TurnRecord, Usage


def describe_turn(record: TurnRecord) -> dict[str, Any]:
    told = _numbers(asdict(record))
    del told["turn_id"]
    return {**told, "accepted_at": _said(record.accepted_at), "ended_at": _said(record.ended_at)}


def describe_usage(usage: Usage) -> dict[str, Any]:
    """Return the figures, with their `key` where they have one."""
    told = _numbers(asdict(usage))
    return told if usage.key is not None else {name: value for name, value in told.items() if name != "key"}


def read_time(text: str) -> datetime:
    """Return the time, or the day's beginning; without a zone it is UTC's. Raises `ValueError`."""
    # A blank is what a `+` in a query string has become.
    found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _numbers(told: Mapping[str, Any]) -> dict[str, Any]:
    cost = told["cost"]
    return {**told, "cost": None if cost is None else round(float(cost), 9)}


def _said(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
