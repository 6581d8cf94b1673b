"""Executions in tests: registered and started through the services, watched until they rest or end."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from registry.access import COMMAND_LINE
from registry.executions.models import ExecutionRow, StoredEvent, show_execution_id
from registry.runtime import Registry


async def start(registry: Registry, document: Mapping[str, Any], **given: Any) -> str:
    """Registers the workflow and starts it with `given`; returns the execution's id."""
    registered = await registry.workflows.register(COMMAND_LINE, dict(document))
    key = await registry.executions.start(COMMAND_LINE, registered.workflow_id, registered.version, given)
    return show_execution_id(key)


async def until(registry: Registry, execution_id: str, *statuses: str, timeout: float = 15) -> ExecutionRow:
    """The execution, once it has one of the statuses: by default, once it has ended."""
    wanted = statuses or ("completed", "failed", "cancelled", "limit_exceeded")
    return await seen(registry, execution_id, lambda row: row.status in wanted, timeout)


async def seen(
    registry: Registry, execution_id: str, as_wanted: Callable[[ExecutionRow], bool], timeout: float = 15
) -> ExecutionRow:
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        row = await registry.executions.get(COMMAND_LINE, execution_id)
        if as_wanted(row):
            return row
        if asyncio.get_running_loop().time() > deadline:
            events = await events_of(registry, execution_id)
            raise AssertionError(
                f"{row}\n" + "\n".join(f"{e.sequence} {e.type} {e.node_id} {e.data}" for e in events)
            )
        await asyncio.sleep(0.02)


async def events_of(registry: Registry, execution_id: str) -> list[StoredEvent]:
    _, events = await registry.executions.list_events(COMMAND_LINE, execution_id)
    return list(events)


async def story(registry: Registry, execution_id: str) -> list[str]:
    """What happened, in short: `node_completed a`."""
    return [f"{event.type} {event.node_id or ''}".strip() for event in await events_of(registry, execution_id)]
