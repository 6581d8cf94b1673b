"""What somebody outside decides, and how much of it is borne: one table, imported where a bound is used.

`docs/security.md` shows the same table; a test holds it to this one, and each row to the test that goes beyond it.
"""

from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Bound:
    """One row: `thing` is decided by `who`; more of it than `shown` leads to `beyond`; `test` goes there."""

    name: str
    thing: str
    who: str
    shown: str
    beyond: str
    test: str


TABLE: list[Bound] = []


def _bound(value: Number, name: str, thing: str, *, who: str, beyond: str, test: str, unit: str = "") -> Number:
    TABLE.append(Bound(name, thing, who, _shown(value, unit), beyond, test))
    return value


def _shown(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1024**2:g} MiB" if value >= 1024**2 else f"{value / 1024:g} KiB"
    return f"{value:,} {unit}".strip()


_WORKFLOW = "who writes workflows"

EVALUATION_STEPS = _bound(
    10_000,
    "EVALUATION_STEPS",
    "work of all conditions, assertions and paths in one step of an execution",
    who=_WORKFLOW,
    unit="steps",
    beyond="the node fails",
    test="tests/registry/engine/test_bounded_work.py::test_a_condition_that_is_too_much_work_fails_its_node",
)
RENDERED_BYTES = _bound(
    4 * 1024**2,
    "RENDERED_BYTES",
    "text that templates and references of one step of an execution make",
    who=_WORKFLOW,
    unit="bytes",
    beyond="the node fails before more is made",
    test="tests/registry/engine/test_bounded_work.py::test_references_count_with_what_they_put_in",
)
LOST_WORKERS = _bound(
    3,
    "LOST_WORKERS",
    "workers that end while they run an execution, without a step between",
    who=_WORKFLOW,
    beyond="the execution fails and says why; from the second on it runs alone",
    test="tests/registry/engine/test_bounded_work.py::test_an_execution_over_which_three_workers_ended_is_failed",
)

_CALLER = "callers"
_PUSH_TESTS = "tests/agent_runtime/a2a_server/test_push.py"

PUSH_CONFIGS_PER_TASK = _bound(
    10,
    "PUSH_CONFIGS_PER_TASK",
    "push notification configs of a task",
    who=_CALLER,
    beyond="-32602; more that are there are not sent to",
    test=f"{_PUSH_TESTS}::test_a_task_has_ten_configs_at_most_also_when_many_are_set_at_once",
)
PUSH_REQUESTS_PER_MESSAGE = _bound(
    100,
    "PUSH_REQUESTS_PER_MESSAGE",
    "push notifications, repeated ones included, that one message leads to",
    who=_CALLER,
    beyond="what comes next is not sent, but the last status is, once to each",
    test=f"{_PUSH_TESTS}::test_one_message_leads_to_so_many_requests_and_its_end",
)
PUSH_REQUESTS_AT_ONCE = _bound(
    16,
    "PUSH_REQUESTS_AT_ONCE",
    "push notifications under way at a time; half of them for one caller",
    who=_CALLER,
    beyond="the others wait",
    test=f"{_PUSH_TESTS}::test_a_caller_whose_receivers_hang_holds_up_no_other",
)
PUSH_WAITING_BYTES = _bound(
    32 * 1024**2,
    "PUSH_WAITING_BYTES",
    "push notifications that wait, of all tasks of a process",
    who=_CALLER,
    unit="bytes",
    beyond="dropped, logged",
    test=f"{_PUSH_TESTS}::test_notifications_that_wait_are_bounded_in_bytes",
)

_ANYBODY = "anybody who reaches the port"
_WIRE_TESTS = "tests/hostile/test_wire.py"

LONGEST_HEAD = _bound(
    64 * 1024,
    "LONGEST_HEAD",
    "line and headers of a request; and, beside its body, trailers and extensions of chunks",
    who=_ANYBODY,
    unit="bytes",
    beyond="431, the connection is closed",
    test=f"{_WIRE_TESTS}::test_a_head_in_one_piece_is_counted_too",
)
CONNECTIONS = _bound(
    10_000,
    "CONNECTIONS",
    "open connections of a process, or as many as its open files allow",
    who=_ANYBODY,
    beyond="the one that waits longest for a request is closed; logged once a minute",
    test=f"{_WIRE_TESTS}::test_idle_connections_give_way_to_new_ones",
)
BODIES_BYTES = _bound(
    64 * 1024**2,
    "BODIES_BYTES",
    "bodies in memory at a time, of all requests that have shown a token where one is needed",
    who="callers, clients of the registry",
    unit="bytes",
    beyond="503 with `Retry-After`",
    test=f"{_WIRE_TESTS}::test_all_bodies_together_are_bounded",
)

PAGE_BYTES = _bound(
    4 * 1024**2,
    "PAGE_BYTES",
    "a page of tasks, of threads with their states, or of events of an execution, as it is read",
    who="callers, clients of the registry",
    unit="bytes",
    beyond="the page ends there, but has one item; the next page goes on",
    test="tests/agent_runtime/a2a_server/test_tasks.py::test_a_page_ends_where_its_tasks_are_too_many_bytes",
)

_WORK_TESTS = "tests/registry/engine/test_bounded_work.py"
_DEVELOPERS = "developers of a tenant"

NODE_SECONDS = _bound(
    3600.0,
    "NODE_SECONDS",
    "time of one node that works outside, and of one call that it makes, whatever its timeout says",
    who=_WORKFLOW,
    unit="s",
    beyond="the node fails, and is tried again as its retries say",
    test=f"{_WORK_TESTS}::test_a_node_has_no_longer_than_the_ceiling",
)
STATE_BYTES = _bound(
    16 * 1024**2,
    "STATE_BYTES",
    "state of an execution after a step",
    who=_WORKFLOW,
    unit="bytes",
    beyond="the execution ends as `limit_exceeded`",
    test=f"{_WORK_TESTS}::test_an_execution_is_ended_that_holds_or_writes_too_much",
)
WRITTEN_BYTES = _bound(
    512 * 1024**2,
    "WRITTEN_BYTES",
    "state that an execution writes in its whole life, with those that it begins",
    who=_WORKFLOW,
    unit="bytes",
    beyond="the execution ends as `limit_exceeded`",
    test=f"{_WORK_TESTS}::test_an_execution_is_ended_that_holds_or_writes_too_much",
)
LIFETIME_STEPS = _bound(
    100_000,
    "LIFETIME_STEPS",
    "steps of an execution in its whole life; 10,000 without a wait",
    who=_WORKFLOW,
    beyond="the execution ends as `limit_exceeded`",
    test=f"{_WORK_TESTS}::test_an_execution_is_ended_that_holds_or_writes_too_much",
)
OWNERS_SHARE = _bound(
    0.75,
    "OWNERS_SHARE",
    "share of `MAX_REQUESTS` of one tenant of a registry, when another has asked for something within the hour",
    who=_DEVELOPERS,
    beyond="503 with `Retry-After`",
    test="tests/groundwork/http/test_load.py::test_one_owner_leaves_room_for_others",
)
DISCOVERIES_AT_ONCE = _bound(
    8,
    "DISCOVERIES_AT_ONCE",
    "`discover` calls of a tenant under way at a process",
    who=_DEVELOPERS,
    beyond="429 with `Retry-After`",
    test="tests/registry/agents/test_discover_route.py::test_a_tenant_discovers_few_agents_at_a_time",
)

HELD_SECONDS = _bound(
    0.05,
    "HELD_SECONDS",
    "processor time for which anything holds an event loop",
    who="whatever of the above, and a graph",
    unit="s",
    beyond="logged with the stack, counted in `/metrics`",
    test="tests/groundwork/process/test_loop_watch.py::test_what_holds_the_loop_is_counted_and_told_with_its_stack",
)
