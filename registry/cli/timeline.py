"""The events of an execution as a timeline: when each happened, what it was, and how long it took."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from rich.text import Text

from groundwork.output import escape

Tone = Literal["quiet", "plain", "good", "bad", "waiting"]

_STYLES: Mapping[Tone, str] = {
    "quiet": "dim",
    "plain": "",
    "good": "green",
    "bad": "red",
    "waiting": "yellow",
}
_LONGEST_NAME = 18


@dataclass(frozen=True)
class TimelineEntry:
    """One event. `offset` is from the first event of the execution, `seconds` how long the node has taken, if this
    is where it ends."""

    offset: float
    mark: str
    name: str
    text: str
    seconds: float | None
    tone: Tone


class Timeline:
    """Makes lines of events, in the order in which they happened; it remembers when things began."""

    def __init__(self) -> None:
        self._began: datetime | None = None
        self._started: dict[str, datetime] = {}

    def line(self, event: Mapping[str, Any]) -> TimelineEntry:
        """The line of an event as the registry answers it, in either form."""
        moment = datetime.fromisoformat(event["created_at"])
        self._began = self._began or moment
        event_type, node_id, data = event["type"], event["node_id"], event["data"]
        if event_type == "node_started":
            self._started[node_id] = moment
        mark, tone, describe = _LINES.get(event_type, ("·", "plain", lambda _: event_type.replace("_", " ")))
        if event_type == "approval_received" and data.get("decision") != "approved":
            mark, tone = "✗", "bad"
        return TimelineEntry(
            offset=(moment - self._began).total_seconds(),
            mark=mark,
            name=escape(node_id or ""),
            text=escape(describe(data)),
            seconds=self._taken(event_type, node_id, moment, data),
            tone=tone,
        )

    def _taken(self, event_type: str, node_id: str, moment: datetime, data: Mapping[str, Any]) -> float | None:
        if event_type not in ("node_completed", "node_failed"):
            return None
        started = self._started.get(node_id)
        worked = data.get("duration_ms")
        seen = [(moment - started).total_seconds()] if started else []
        told = [worked / 1000] if isinstance(worked, int | float) else []
        # A node that starts and ends in one transaction has its own word for how long it took, and no other.
        return max([*seen, *told], default=None)


def draw(line: TimelineEntry) -> Text:
    """For a terminal."""
    style = _STYLES[line.tone]
    taken = "" if line.seconds is None else f"  {show_seconds(line.seconds)}"
    return Text.assemble(
        (f"{show_seconds(line.offset):>10}", "dim"),
        "  ",
        (line.mark, style),
        " ",
        (line.name.ljust(_LONGEST_NAME), "dim" if line.tone == "quiet" else "bold"),
        " ",
        (line.text, style),
        (taken, "dim"),
    )


def write(line: TimelineEntry) -> str:
    """For anything else."""
    return draw(line).plain.rstrip()


def show_seconds(seconds: float) -> str:
    """`0.123 s`, `12.3 s`, `2 m 05 s`, `3 h 12 m`."""
    if seconds < 10:
        return f"{seconds:.3f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} m {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} m"


def _completed(data: Mapping[str, Any]) -> str:
    tokens = [data.get(name) for name in ("input_tokens", "output_tokens")]
    parts = ["completed"]
    if model := data.get("gen_ai_model"):
        parts.append(str(model))
    if any(tokens):
        parts.append(f"{tokens[0] or 0} tokens in, {tokens[1] or 0} out")
    if cost := data.get("cost_usd"):
        parts.append(f"${cost:.4f}")
    return ", ".join(parts)


def _started(data: Mapping[str, Any]) -> str:
    attempt = data.get("attempt") or 0
    return f"started, attempt {attempt + 1}" if attempt else "started"


def _asked(data: Mapping[str, Any]) -> str:
    about = data.get("description") or data.get("tool_name")
    return f"waits for a decision: {about}" if about else "waits for a decision"


def _decided(data: Mapping[str, Any]) -> str:
    comment = f": {data['comment']}" if data.get("comment") else ""
    return f"{data.get('decision')} by {data.get('user_id')}{comment}"


_LINES: Mapping[str, tuple[str, Tone, Callable[[Mapping[str, Any]], str]]] = {
    "workflow_started": (
        "▶",
        "plain",
        lambda data: f"{data.get('workflow_id')} {data.get('workflow_version')} started",
    ),
    "node_scheduled": ("·", "quiet", lambda data: "scheduled"),
    "node_started": ("›", "quiet", _started),
    "node_completed": ("✓", "good", _completed),
    "node_failed": ("✗", "bad", lambda data: f"failed: {data.get('error')}"),
    "node_skipped": ("-", "quiet", lambda data: "skipped"),
    "retry_scheduled": (
        "↻",
        "waiting",
        lambda data: f"tried again in {show_seconds((data.get('delay_ms') or 0) / 1000)}",
    ),
    "interrupt_raised": ("‖", "waiting", _asked),
    "tool_approval_required": ("‖", "waiting", _asked),
    "approval_received": ("✓", "good", _decided),
    "external_event_received": ("‹", "plain", lambda data: f"event {data.get('correlation_key')}"),
    "timer_created": ("‖", "waiting", lambda data: f"waits {show_seconds(data.get('seconds') or 0)}"),
    "timer_fired": ("‹", "plain", lambda data: "the time is over"),
    "tool_call_completed": ("·", "plain", lambda data: f"called {data.get('tool') or 'a tool'}"),
    "workflow_completed": ("■", "good", lambda data: "completed"),
    "workflow_failed": ("■", "bad", lambda data: f"failed: {data.get('error')}"),
    "workflow_cancelled": ("■", "bad", lambda data: f"cancelled: {data.get('reason')}"),
    "strategy_limit_hit": ("■", "bad", lambda data: f"limit exceeded: {data.get('reason')}"),
}
