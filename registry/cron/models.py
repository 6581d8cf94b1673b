"""Workflows that are started by the clock."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterError, croniter

from registry.errors import InvalidRequest

_NAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_FIELDS = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31 or L"),
    ("month", "1-12 or jan-dec"),
    ("day of week", "0-7 or sun-sat"),
)
_MONTH, _DAY_OF_WEEK = 3, 4
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
_DAYS = "sun mon tue wed thu fri sat"
_FORMS = "* or ?, ranges such as 1-5 (upwards), lists such as 1,3 and steps such as */5"

# What the library makes of `R` is another time with each look.
_FIELD = re.compile(r"[\d*?,/#-]|L|\d+W|[A-Za-z]{3}", re.ASCII)

_RANGE = re.compile(r"(\d+|[A-Za-z]{3})-(\d+|[A-Za-z]{3})", re.ASCII)

_MOST_TIMES_TWICE = 24 * 60
"""How often a time of the hour that the clocks go through twice may be passed over."""


@dataclass(frozen=True)
class Schedule:
    """The times at which a workflow is started, as clocks of the time zone show them."""

    cron_expression: str
    time_zone: str = "UTC"

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time that fits after `moment`.

        A time that the clocks skip counts when they have; one that they show twice counts once, unless the job
        runs in every hour. Raises `InvalidRequest` for an expression or a zone that cannot be read, and when no
        time fits.
        """
        check_expression(self.cron_expression)
        times = croniter(self.cron_expression, moment.astimezone(zone_of(self.time_zone)), ret_type=datetime)
        try:
            for _ in range(_MOST_TIMES_TWICE):
                following: datetime = times.get_next()
                if not following.fold or self._in_every_hour:
                    return following.astimezone(UTC)  # two times of one name would not compare
        except (CroniterError, ValueError, OverflowError):
            pass
        raise InvalidRequest(f"cron_expression fits no time after {moment:%Y-%m-%d}")

    @property
    def _in_every_hour(self) -> bool:
        fields = self.cron_expression.split()
        return fields[0].lower() == "@hourly" if len(fields) == 1 else fields[1].startswith(("*", "?"))


@dataclass(frozen=True)
class CronJob:
    """A workflow and the times at which it is started.

    Without `next_run_at` it is not enabled: no time fits any more, and `last_error` says so.
    """

    tenant_id: str
    name: str
    cron_expression: str
    time_zone: str
    workflow_id: str
    workflow_version: str | None
    input: dict[str, Any]
    enabled: bool
    next_run_at: datetime | None
    last_run_at: datetime | None = None
    last_execution_id: UUID | None = None
    last_error: str | None = None

    @property
    def schedule(self) -> Schedule:
        return Schedule(self.cron_expression, self.time_zone)


def check_expression(cron_expression: str) -> None:
    """Raises `InvalidRequest` naming the field that is wrong, and what is accepted."""
    fields = cron_expression.split()
    if len(fields) == 1 and fields[0].lower() in _NAMES:
        return
    if len(fields) != len(_FIELDS):
        names = ", ".join(name for name, _ in _FIELDS)
        raise InvalidRequest(
            f"cron_expression has {len(fields)} fields: accepted are five ({names}), such as */5 * * * *, or one"
            f" of {', '.join(_NAMES)}"
        )
    for index, field in enumerate(fields):
        alone = ["*"] * len(fields)
        alone[index] = field
        if _FIELD.sub("", field) or not croniter.is_valid(" ".join(alone)) or _runs_backwards(index, field):
            name, values = _FIELDS[index]
            raise InvalidRequest(f"cron_expression: the {name} {field!r} is none: accepted are {values}, {_FORMS}")


def _runs_backwards(index: int, field: str) -> bool:
    """Tell whether a range ends before it begins; the library takes it to go on from the beginning.

    `fri-sun` is none of these: a week may end with Sunday.
    """
    for first, last in _RANGE.findall(field):
        begin, end = (_number_of(index, value) for value in (first, last))
        if (end or 7 if index == _DAY_OF_WEEK else end) < begin:
            return True
    return False


def _number_of(index: int, value: str) -> int:
    if value.isdigit():
        return int(value)
    return 1 + _MONTHS.index(value.lower()) // 4 if index == _MONTH else _DAYS.index(value.lower()) // 4


def zone_of(time_zone: str) -> ZoneInfo:
    """Raises `InvalidRequest`."""
    if time_zone not in _zones():
        raise InvalidRequest("time_zone should be an IANA name, such as Europe/Berlin or UTC")
    return ZoneInfo(time_zone)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
