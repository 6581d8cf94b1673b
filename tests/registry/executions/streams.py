"""Server-sent events, as a client reads them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx


@asynccontextmanager
async def following(
    http: httpx.AsyncClient, execution_id: str, last: int | None = None, prefix: str = "", **query: Any
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The events of an execution as they come in, each with its id checked against its number."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    path = f"{prefix}/executions/{execution_id}/events"
    async with http.stream("GET", path, params={"stream": "true", **query}, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events_in(answer)


async def _events_in(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            event = json.loads(fields["data"])
            assert fields["id"] == str(event["sequence"])
            yield event
            fields = {}
