"""A small part, always the same, of what `python -m tests.hostile` sends."""

import logging
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.agents import running_agent, write_project
from tests.hostile.campaign import attack
from tests.hostile.inputs import agent_source, registry_source
from tests.registry.registries import running_registry
from tests.registry.walks import list_routes

REQUESTS = 400


async def test_a_registry_answers_whatever_it_is_sent(registry_dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    async with running_registry(
        registry_dsn, worker=True, jamjet_model="offline", deny_private_networks=True
    ) as served:
        [own] = (await served.http.get("/tokens")).json()["tokens"]
        source = registry_source(Random(7), served.token, own["token_id"], await list_routes(served.http))
        tally = await attack(httpx.URL(served.url).port or 0, source, REQUESTS)
        assert (await served.http.get("/agents")).status_code == 200
    assert (tally.wrong, crashes(caplog)) == ([], []), tally


async def test_an_agent_answers_whatever_it_is_sent(
    tmp_path: Path, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokens: dict[str, Any] = {
        "admin_token": "the-token",
        "a2a_tokens": "ann=the-token",
        "internal_runtime_control_enabled": True,
    }
    async with running_agent(write_project(tmp_path), database_url, deny_private_networks=True, **tokens) as agent:
        tally = await attack(httpx.URL(agent.url).port or 0, agent_source(Random(7), "the-token"), REQUESTS)
        assert (await agent.send("hello", token="the-token"))["task"]
    assert (tally.wrong, crashes(caplog)) == ([], []), tally


def crashes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as an error. The SDK logs its refusals as errors, too; those are the caller's."""
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    return [record.getMessage() for record in errors if not record.name.startswith("a2a.")]
