"""The three routes that orchestrators and collectors read."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter

from groundwork.http.health import serve_health
from groundwork.postgres.pool import DatabaseUnavailable
from tests.servers import run_server


class Database:
    """What `ready` stands for here: there, away, or not answering."""

    def __init__(self) -> None:
        self.state = "there"

    async def ready(self) -> None:
        if self.state == "away":
            raise DatabaseUnavailable("cannot connect to 10.0.0.7")
        if self.state == "hanging":
            await asyncio.sleep(60)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    registry = CollectorRegistry()
    Counter("turns", "Turns begun", registry=registry).inc()
    app = FastAPI()
    serve_health(app, database.ready, registry)
    async with run_server(app) as url, httpx.AsyncClient(base_url=url, verify=False) as client:
        yield client


async def test_the_process_is_up_whatever_the_database_does(client: httpx.AsyncClient, database: Database) -> None:
    database.state = "away"
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_it_is_ready_while_the_database_is_there(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_it_is_not_ready_without_the_database_and_keeps_the_address_to_itself(
    client: httpx.AsyncClient, database: Database
) -> None:
    database.state = "away"
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "reason": "the database cannot be reached"}


async def test_a_database_that_hangs_counts_as_away_after_two_seconds(
    client: httpx.AsyncClient, database: Database
) -> None:
    database.state = "hanging"
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert "within 2 seconds" in answer.json()["reason"]


async def test_metrics_are_those_of_the_registry_that_was_given(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "turns_total 1.0\n" in answer.text
    assert "python_info" not in answer.text
    assert "_created" not in answer.text
