"""A timeline says when each thing happened, and how long a node has taken."""

from typing import Any

import pytest

from registry.cli.timeline import Timeline, draw, show_seconds, write


def event(event_type: str, second: float, node_id: str | None = None, **data: Any) -> dict[str, Any]:
    whole, part = divmod(round(second * 1000), 1000)
    moment = f"2026-03-12T10:{whole // 60:02}:{whole % 60:02}.{part:03}Z"
    return {"type": event_type, "node_id": node_id, "created_at": moment, "data": {"type": event_type, **data}}


def test_a_run_with_a_decision_is_a_line_for_each_event():
    timeline = Timeline()
    events = [
        event("workflow_started", 0, workflow_id="pay", workflow_version="1.0.0"),
        event("node_scheduled", 0.01, "review"),
        event("node_started", 0.02, "review", attempt=0),
        event("interrupt_raised", 0.02, "review", description="Pay it?"),
        event("approval_received", 75, "review", decision="approved", user_id="kim", comment="fine"),
        event("node_completed", 75.02, "review", duration_ms=3, gen_ai_model="m", input_tokens=5, cost_usd=0.25),
        event("workflow_completed", 75.03),
    ]
    assert [write(timeline.line(each)) for each in events] == [
        "   0.000 s  ▶                    pay 1.0.0 started",
        "   0.010 s  · review             scheduled",
        "   0.020 s  › review             started",
        "   0.020 s  ‖ review             waits for a decision: Pay it?",
        "  1 m 15 s  ✓ review             approved by kim: fine",
        "  1 m 15 s  ✓ review             completed, m, 5 tokens in, 0 out, $0.2500  1 m 15 s",
        "  1 m 15 s  ■                    completed",
    ]


def test_a_node_that_starts_and_ends_at_once_is_taken_at_its_word():
    timeline = Timeline()
    timeline.line(event("node_started", 1, "a"))
    assert timeline.line(event("node_completed", 1, "a", duration_ms=250)).seconds == 0.25


def test_each_attempt_is_timed_by_itself():
    timeline = Timeline()
    seen = [
        timeline.line(event("node_started", 0, "a", attempt=0)),
        timeline.line(event("node_failed", 2, "a", error="no")),
        timeline.line(event("retry_scheduled", 2, "a", delay_ms=500)),
        timeline.line(event("node_started", 3, "a", attempt=1)),
        timeline.line(event("node_completed", 4, "a", duration_ms=1)),
    ]
    assert [line.seconds for line in seen] == [None, 2, None, None, 1]
    assert [line.text for line in seen[1:4]] == ["failed: no", "tried again in 0.500 s", "started, attempt 2"]


def test_an_event_of_a_kind_that_is_new_here_has_a_line_too():
    assert write(Timeline().line(event("coordinator_decided", 0, "c"))).endswith(
        "· c                  coordinator decided"
    )


def test_what_strangers_wrote_moves_nothing_on_a_terminal():
    line = Timeline().line(event("workflow_failed", 0, error="[red]\x1b[2J\nover"))
    assert line.text == "failed: [red]\\x1b[2J\\nover"
    assert draw(line).plain.endswith(line.text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.000 s"), (9.9994, "9.999 s"), (12.34, "12.3 s"), (119.6, "2 m 00 s"), (11_520, "3 h 12 m")],
)
def test_times_are_as_exact_as_they_are_short(seconds, shown):
    assert show_seconds(seconds) == shown
