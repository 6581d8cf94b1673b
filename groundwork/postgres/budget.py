"""Connections: how many this process may come to hold, and how many PostgreSQL takes."""

import logging
import re
import secrets

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

logger = logging.getLogger(__name__)

PROCESS = secrets.token_hex(4)

# What is reserved is there to get in when everything else is full, for superusers and whom they have chosen.
_ROOM = """
SELECT least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
)
"""

# The names are shown to every role, also those of others' connections.
_NAMES = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name LIKE 'agent-sidecar %'"

_NAME = re.compile(r"agent-sidecar \S+ (?P<process>\S+) of (?P<size>\d+)")


class TooFewConnections(Exception):
    """PostgreSQL would refuse what the process is set up to open; the message says what to change."""


def name_of_connections(dsn: str, name: str, size: int) -> dict[str, str]:
    """What connections are opened with to be told apart in PostgreSQL, and to say how many there may be; nothing
    where the DSN names them."""
    if "application_name" in conninfo_to_dict(dsn):
        return {}
    return {"application_name": f"agent-sidecar {name} {PROCESS} of {size}"}


async def check_budget(conn: AsyncConnection[TupleRow], name: str, size: int) -> None:
    """Raises `TooFewConnections` when `size` connections are more than there can be, and warns when they are more
    than our other processes leave. `conn` is a direct connection: what a pooler takes, only the pooler knows."""
    row = await (await conn.execute(_ROOM, prepare=False)).fetchone()
    room: int = row[0] if row else size
    if size > room:
        raise TooFewConnections(
            f"POSTGRES_POOL_SIZE: this process may come to hold {size} connections, and PostgreSQL takes {room};"
            " lower it, or raise max_connections or the limit of the role or database"
        )
    rows = await (await conn.execute(_NAMES, prepare=False)).fetchall()
    wanted = size + _wanted_by_others([str(row[0]) for row in rows], f"{name} {PROCESS}")
    if wanted > room:
        logger.warning(
            "connection budget exceeded wanted=%d available=%d;"
            " lower POSTGRES_POOL_SIZE, raise max_connections, or put a pooler in between",
            wanted,
            room,
        )


def _wanted_by_others(names: list[str], own: str) -> int:
    found = [match for match in map(_NAME.fullmatch, names) if match and f" {own} " not in match[0]]
    return sum(int(match["size"]) for match in found)
