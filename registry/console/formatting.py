"""How values stand on a page: times with their age, states by word and shape, ids that can be copied."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from markupsafe import Markup

Tone = Literal["good", "bad", "busy", "waiting", "quiet"]

_STATES: Mapping[str, tuple[Tone, str]] = {
    "alive": ("good", "●"),
    "ok": ("good", "●"),
    "silent": ("bad", "○"),
    "failing": ("bad", "✕"),
    "registered": ("quiet", "◌"),
    "active": ("good", "●"),
    "paused": ("waiting", "‖"),
    "deactivated": ("quiet", "■"),
    "pending": ("quiet", "◌"),
    "running": ("busy", "▶"),
    "completed": ("good", "✓"),
    "failed": ("bad", "✕"),
    "cancelled": ("quiet", "■"),
    "limit_exceeded": ("bad", "▲"),
    "current": ("good", "✓"),
    "behind": ("waiting", "◷"),
    "fallback": ("waiting", "▲"),
    "waiting": ("waiting", "‖"),
    "skipped": ("quiet", "–"),
    "not reached": ("quiet", "◌"),
    "idle": ("quiet", "◌"),
    "busy": ("busy", "▶"),
    "interrupted": ("waiting", "‖"),
    "error": ("bad", "✕"),
    "queued": ("quiet", "◷"),
    "replied": ("good", "✓"),
    "input_required": ("waiting", "‖"),
    "rejected": ("bad", "✕"),
    "connected": ("good", "●"),
    "not connected": ("bad", "○"),
    "draining": ("waiting", "◷"),
    "expired": ("quiet", "◷"),
    "revoked": ("bad", "✕"),
    "suspended": ("waiting", "‖"),
    "archived": ("quiet", "■"),
    "deleted": ("bad", "✕"),
}
"""What each state looks like, besides its word."""

_UNITS = ((86_400 * 365, "y"), (86_400, "d"), (3600, "h"), (60, "min"))
_KEPT_JSON = 200_000


def show_state(state: str) -> Markup:
    """Return the state as a shape and a word; colour comes last."""
    tone, shape = _STATES.get(state, ("quiet", "◌"))
    return Markup('<span class="state {}"><span aria-hidden="true">{}</span> {}</span>').format(
        tone, shape, state.replace("_", " ")
    )


def tone_of(state: str) -> Tone:
    return _STATES.get(state, ("quiet", ""))[0]


def shape_of(state: str) -> str:
    return _STATES.get(state, ("quiet", "◌"))[1]


def show_age(moment: datetime | str | None, missing: str = "never") -> Markup:
    """Return how long ago, or how soon, it is, with the time itself in its title."""
    if moment is None:
        return Markup('<span class="quiet">{}</span>').format(missing)
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    exact = at.astimezone(UTC)
    title, age = f"{exact:%Y-%m-%d %H:%M:%S} UTC", describe_age(exact, datetime.now(UTC))
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="seconds"), title, age
    )


def show_told_moment(text: str | None) -> Markup:
    """Return a time that an agent has told, with its age; what is no time is shown as it is."""
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        return Markup('<span class="quiet">{}</span>').format((text or "")[:40])
    return show_age(at.replace(tzinfo=at.tzinfo or UTC) if at else None, "unknown")


def show_cost(value: float | None) -> str:
    """`0.0123`, in the currency of the prices that the agent was given; without prices it is unknown."""
    return "unknown" if value is None else f"{value:.4f}"


def describe_age(moment: datetime, now: datetime) -> str:
    """`12 s ago`, `3 min ago`, `in 2 h`; the script says the same, in `console.js`."""
    seconds = (now - moment).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    amount = next((f"{int(size // unit)} {name}" for unit, name in _UNITS if size >= unit), f"{int(size)} s")
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


def show_duration(value: timedelta | float | None) -> str:
    """`120 ms`, `3.4 s`, `2 min 05 s`, `3 h 12 min`; an unknown one is shown as such."""
    if value is None:
        return "unknown"
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def show_id(text: str, shown: int = 13) -> Markup:
    """Return an id, shortened where it is long, with a button that copies all of it."""
    short = text if len(text) <= shown + 1 else f"{text[:shown]}…"
    return Markup(
        '<span class="id"><code title="{0}">{1}</code><button type="button" class="copy" data-copy="{0}" hidden'
        ' aria-label="Copy {1}">copy</button></span>'
    ).format(text, short)


def show_json(value: Any) -> str:
    """Return the value as indented JSON, cut off where it would make the page too large."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if len(text) <= _KEPT_JSON:
        return text
    return f"{text[:_KEPT_JSON]}\n… {len(text) - _KEPT_JSON} more characters; the JSON link has them all"


def show_number(value: float) -> str:
    """`1 234 567`, as people group digits."""
    return f"{value:,.0f}".replace(",", "\u202f")


def in_path(text: str) -> str:
    """Return text as one part of a path."""
    return quote(text, safe="")
