"""The rows of `persistent_memory`. Every function takes a connection and names the owner."""

from dataclasses import dataclass

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.memory")


@dataclass(frozen=True)
class Summary:
    """What a thread's summary says, and the last message that it covers: by number, and by name."""

    text: str = ""
    messages: int = 0
    last_message_id: str = ""


@dataclass(frozen=True)
class SummarizedThread:
    """A thread with its summary, which is empty when there is none. `position` is what tells it from another
    one that is opened under the same id after it was deleted."""

    thread_id: str
    owner_key: int
    position: int
    summary: Summary


async def find_summary(conn: Connection, thread_id: str, owner_key: int) -> SummarizedThread | None:
    """`None` when there is no such thread of that owner."""
    cursor = await conn.execute(sql.find_summary, {"thread_id": thread_id, "owner_key": owner_key})
    row = await cursor.fetchone()
    if row is None:
        return None
    summary = Summary()
    if row["summary"] is not None:
        summary = Summary(row["summary"], row["summarized_messages"], row["last_message_id"])
    return SummarizedThread(thread_id, owner_key, row["position"], summary)


async def store_summary(conn: Connection, thread: SummarizedThread, summary: Summary) -> bool:
    """Puts `summary` in the place of the thread's. `False`, and nothing is changed, when the thread has been
    deleted meanwhile or another process has stored a summary of its own."""
    parameters = {
        "thread_id": thread.thread_id,
        "owner_key": thread.owner_key,
        "position": thread.position,
        "summary": summary.text,
        "summarized_messages": summary.messages,
        "last_message_id": summary.last_message_id,
        "continued_messages": thread.summary.messages,
        "continued_message_id": thread.summary.last_message_id,
    }
    return (await conn.execute(sql.store_summary, parameters)).rowcount == 1
