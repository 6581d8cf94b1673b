"""The row of what was changed at runtime, for all processes of an agent."""

from dataclasses import dataclass
from uuid import UUID

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.live_settings")


@dataclass(frozen=True)
class StoredSettings:
    """What was changed; `None` is what the environment of each process says. Every change has a new `revision`."""

    revision: int = 0
    summarize: bool | None = None
    window_size: int | None = None
    summarize_threshold: int | None = None
    card_url: str | None = None

    @property
    def memory(self) -> dict[str, bool | int]:
        """The changed fields of the memory configuration."""
        changed = {
            "summarize": self.summarize,
            "window_size": self.window_size,
            "summarize_threshold": self.summarize_threshold,
        }
        return {name: value for name, value in changed.items() if value is not None}


async def begin(conn: Connection, agent_id: str, process_id: UUID) -> None:
    """A process of the agent begins; when no other one lives, nothing that was changed before holds any more.

    To be called in a transaction that also says that this process lives.
    """
    given = {"agent_id": agent_id, "process_id": process_id}
    await conn.execute(sql.lock_settings, given)
    await conn.execute(sql.forget_settings_of_the_dead, given)


async def find_settings(conn: Connection, agent_id: str) -> StoredSettings | None:
    row = await (await conn.execute(sql.find_settings, {"agent_id": agent_id})).fetchone()
    return StoredSettings(**row) if row else None


async def find_registry_status(conn: Connection, agent_id: str) -> str | None:
    """What the registry called the agent last, if it was to take no new turns."""
    row = await (await conn.execute(sql.find_registry_status, {"agent_id": agent_id})).fetchone()
    return row["registry_status"] if row else None


async def set_registry_status(conn: Connection, agent_id: str, status: str | None) -> None:
    await conn.execute(sql.set_registry_status, {"agent_id": agent_id, "status": status})


async def change_settings(conn: Connection, agent_id: str, **changes: bool | int | str) -> StoredSettings:
    """Changes the given fields; returns what holds from then on."""
    nothing = dict.fromkeys(("summarize", "window_size", "summarize_threshold", "card_url"))
    row = await (await conn.execute(sql.change_settings, {"agent_id": agent_id, **nothing, **changes})).fetchone()
    assert row is not None
    return StoredSettings(**row)
