"""How a conversation came to be: the steps of the graph, what each has changed, and the state after it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Interrupt

from agent_runtime.errors import StepNotFound, ThreadUnreadable
from agent_runtime.threads import store
from agent_runtime.threads.conversation import STRICT, as_messages, read_checkpoint, rebuild_messages
from agent_runtime.threads.messages import describe_message, plain
from groundwork.postgres.pool import Connection

_LONGEST_VALUE = 256 * 1024
_ROUTE = "branch:to:"
_OURS = ("__", _ROUTE, "start:", "join:")
"""How LangGraph's own channels begin."""


@dataclass(frozen=True)
class Step:
    """One step: which nodes have run in it and what they wrote, who is next, and what is asked of a person."""

    checkpoint_id: str
    number: int | None
    source: str
    created_at: str
    turn_id: int | None
    nodes: Sequence[str]
    changed: Sequence[tuple[str, Any]]
    next: Sequence[str]
    asked: Sequence[Any]
    error: str | None


async def list_steps(
    conn: Connection, agent_id: str, thread_id: str, limit: int, before: str | None
) -> tuple[list[Step], str | None]:
    """Return the latest steps, newest first, and the `before` of the page with earlier ones, if there are.

    Raises `ThreadNotFound`, `ThreadNotOurs` and `ThreadUnreadable`.
    """
    if not await store.is_owned(conn, agent_id, thread_id):
        raise await store.why_not_ours(conn, thread_id)
    stored = await store.list_steps(conn, thread_id, before, limit + 1)
    ids = [step.checkpoint_id for step in stored]
    writes = await store.list_step_writes(conn, thread_id, ids, _LONGEST_VALUE)
    try:
        steps = await asyncio.to_thread(_build_steps, stored, writes)
    except Exception as error:
        # What a program has stored is decoded by its own classes' rules, and fails in ways of its own.
        raise ThreadUnreadable(thread_id, f"a step, {type(error).__name__}") from error
    return steps[:limit], ids[limit - 1] if len(ids) > limit else None


async def get_state(conn: Connection, agent_id: str, thread_id: str, checkpoint_id: str) -> dict[str, Any]:
    """Return the state after a step. Raises `ThreadNotFound`, `ThreadNotOurs`, `ThreadUnreadable` and
    `StepNotFound`."""
    if not await store.is_owned(conn, agent_id, thread_id):
        raise await store.why_not_ours(conn, thread_id)
    found = await read_checkpoint(conn, thread_id, checkpoint_id)
    if found is None:
        raise StepNotFound(thread_id, checkpoint_id)
    values = {name: value for name, value in found.checkpoint["channel_values"].items() if _is_users(name)}
    if "messages" in found.checkpoint["channel_versions"] and "messages" not in values:
        values["messages"] = await rebuild_messages(conn, thread_id, checkpoint_id)
    return {name: _describe(name, value) for name, value in values.items()}


def _build_steps(stored: Sequence[store.StoredStep], writes: Sequence[store.StoredWrite]) -> list[Step]:
    by_step: dict[str, list[store.StoredWrite]] = defaultdict(list)
    for write in writes:
        by_step[write.checkpoint_id].append(write)
    by_id = {step.checkpoint_id: step for step in stored}
    return [
        _build_step(
            step, by_id.get(step.parent_id or ""), by_step[step.checkpoint_id], by_step[step.parent_id or ""]
        )
        for step in stored
    ]


def _build_step(
    step: store.StoredStep,
    parent: store.StoredStep | None,
    after: Sequence[store.StoredWrite],
    before: Sequence[store.StoredWrite],
) -> Step:
    """What led to a step was written to its parent; what was written to itself is what came of it so far."""
    seen: Mapping[str, Any] = parent.versions_seen if parent else {}
    nodes = [name for name, versions in step.versions_seen.items() if versions != seen.get(name)] if parent else []
    failed = [_value(write) for write in after if write.channel == "__error__"]
    return Step(
        checkpoint_id=step.checkpoint_id,
        number=step.metadata.get("step"),
        source=str(step.metadata.get("source", "")),
        created_at=step.created_at,
        turn_id=step.metadata.get("turn_id"),
        nodes=[name for name in nodes if not name.startswith("__")],
        changed=[(write.channel, _value(write)) for write in before if _is_users(write.channel)],
        next=[name.removeprefix(_ROUTE) for name in step.inline_channels if name.startswith(_ROUTE)],
        asked=[one for write in after if write.channel == "__interrupt__" for one in _value(write)],
        error=str(failed[0]) if failed else None,
    )


def _is_users(channel: str) -> bool:
    return not channel.startswith(_OURS)


def _value(write: store.StoredWrite) -> Any:
    if write.blob is None and write.size:
        return {"left_out_bytes": write.size}
    if write.type is None:
        return None
    return _describe(write.channel, STRICT.loads_typed((write.type, write.blob or b"")))


def _describe(channel: str, value: Any) -> Any:
    if channel == "__interrupt__":
        return [plain(one.value if isinstance(one, Interrupt) else one) for one in value]
    if isinstance(value, _DeltaSnapshot):
        value = value.value
    if channel == "messages":
        return [describe_message(message) for message in as_messages(value)]
    return plain(value)
