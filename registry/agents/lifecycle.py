"""Which status may follow which."""

from typing import Literal, get_args

from registry.errors import Conflict

Status = Literal["registered", "active", "paused", "draining", "deactivated"]
STATUSES: tuple[Status, ...] = get_args(Status)

HELD: tuple[Status, ...] = ("paused", "draining")
"""Somebody wants the agent to take no new work, until it is resumed."""

_FOLLOWERS: dict[Status, tuple[Status, ...]] = {
    "registered": ("active", "deactivated"),
    "active": ("paused", "draining", "deactivated"),
    "paused": ("active", "draining", "deactivated"),
    "draining": ("active", "paused", "deactivated"),
    "deactivated": ("active",),
}


def check_change(agent_id: str, current: Status, wanted: Status) -> None:
    """What is so already may be asked for again. Raises `Conflict`."""
    if wanted != current and wanted not in _FOLLOWERS[current]:
        possible = " or ".join(_FOLLOWERS[current])
        raise Conflict(f"agent {agent_id} is {current} and cannot become {wanted}; it can become {possible}")
