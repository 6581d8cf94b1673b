"""What a thread's lines are: what people and programs read, and the rows that `threads import` reads."""

import base64
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

from langchain_core.messages import BaseMessage

from agent_runtime.a2a_server.files import files_of
from agent_runtime.errors import ThreadUnreadable
from agent_runtime.exports import store
from agent_runtime.exports.store import EXPORTED_TABLES, Kept
from agent_runtime.retention.store import list_unprunable
from agent_runtime.threads.conversation import read_checkpoint, read_conversation
from agent_runtime.threads.messages import describe_message, plain
from groundwork.http.json_body import to_json
from groundwork.postgres.pool import Connection

FORMAT = 1
"""Counted up when a release could not read the lines of the one before."""


async def thread_lines(conn: Connection, agent_id: str, thread_id: str) -> AsyncIterator[bytes]:
    """Yield the thread's lines, in a transaction that sees one state of the database. Raises `ThreadNotFound`."""
    thread = await store.get_thread(conn, agent_id, thread_id)
    yield _line(
        "thread",
        format=FORMAT,
        thread_id=thread_id,
        agent_id=agent_id,
        caller=thread.caller,
        created_at=thread.created_at.isoformat(),
        updated_at=thread.updated_at.isoformat(),
        metadata=thread.metadata,
    )
    async for line in _readable_lines(conn, agent_id, thread_id):
        yield line
    counts: Counter[str] = Counter()
    kept = await _kept(conn, thread_id)
    for table in EXPORTED_TABLES:
        async for row in store.export_rows(conn, table, thread_id, kept):
            counts[table] += 1
            yield f'{{"kind": "row", "table": "{table}", "row": {row}}}\n'.encode()
    yield _line("end", thread_id=thread_id, rows=dict(counts))


async def _readable_lines(conn: Connection, agent_id: str, thread_id: str) -> AsyncIterator[bytes]:
    try:
        for number, message in enumerate(await read_conversation(conn, agent_id, thread_id, in_snapshot=True)):
            yield _line("message", index=number, **describe_message(message))
        yield _line("state", values=await _state(conn, thread_id))
    except ThreadUnreadable as error:
        yield _line("unreadable", why=str(error))
    async for task_id, task in store.list_tasks(conn, thread_id):
        for file in files_of(task):
            said = {"task_id": task_id, "sent_by": file.sent_by, "name": file.name, "media_type": file.media_type}
            if file.url is not None:
                yield _line("file", **said, url=file.url)
            else:
                yield _line("file", **said, content=base64.b64encode(file.content or b"").decode())


async def _state(conn: Connection, thread_id: str) -> dict[str, Any]:
    """What the latest checkpoint says beside the messages. Classes of the program come as plain data."""
    found = await read_checkpoint(conn, thread_id)
    values = found.checkpoint["channel_values"] if found else {}
    return {name: _said(value) for name, value in values.items() if name != "messages" and not _is_inner(name)}


def _is_inner(channel: str) -> bool:
    """Whether LangGraph itself has the channel, for its own steps."""
    return channel.startswith(("__", "branch:"))


def _said(value: Any) -> Any:
    match value:
        case BaseMessage():
            return describe_message(value)
        case Mapping():
            return {str(name): _said(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_said(item) for item in value]
    return plain(value)


async def _kept(conn: Connection, thread_id: str) -> Kept:
    """The latest checkpoints, unless what they say rests on older ones."""
    if await list_unprunable(conn, [thread_id]):
        return Kept(whole=True)
    return Kept(whole=False, checkpoints=await store.list_kept_checkpoints(conn, thread_id))


def _line(kind: str, **said: Any) -> bytes:
    return to_json({"kind": kind, **said}) + b"\n"
