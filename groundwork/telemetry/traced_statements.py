"""Cursors whose statements show in traces. Every statement goes through one, the libraries' as well."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Self

from psycopg import AsyncConnection, AsyncCursor
from psycopg.abc import Query
from psycopg.sql import Composable


def cursors_with_spans(statement: Callable[[str], AbstractContextManager[object]]) -> type[AsyncCursor[Any]]:
    """A cursor class that enters `statement(text)` for the time that a statement takes."""

    class TracedCursor(AsyncCursor[Any]):
        async def execute(self, query: Query, *args: Any, **options: Any) -> Self:
            with statement(_text(query, self.connection)):
                return await super().execute(query, *args, **options)

        async def executemany(self, query: Query, *args: Any, **options: Any) -> None:
            with statement(_text(query, self.connection)):
                await super().executemany(query, *args, **options)

    return TracedCursor


def _text(query: Query, connection: AsyncConnection[Any]) -> str:
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode("utf-8", "replace")
    return query.as_string(connection) if isinstance(query, Composable) else str(query)
