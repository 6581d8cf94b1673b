"""Erasures over HTTP: of one caller, and as a dry run."""

import httpx

from admin_api import MountedAgent
from tests.admin_api.answers import data_of, outcome

THREADS = "/api/v1/memory/threads"


async def test_a_dry_run_erases_nothing_and_counts_the_same(
    client: httpx.AsyncClient, agent: MountedAgent
) -> None:
    for name, caller in [("one", "ada"), ("two", "ada"), ("three", "ben")]:
        await agent.threads.claim(name, caller)
    for path, threads in [(f"{THREADS}/one", 1), (f"{THREADS}?caller=ada", 2), (f"{THREADS}?all=true", 3)]:
        join = "&" if "?" in path else "?"
        data = data_of(await client.delete(f"{path}{join}dry_run=true"))
        assert (data["dry_run"], data["also_deleted"]["agent_threads"]) == (True, threads)
    assert data_of(await client.get(THREADS))["threads"] == ["one", "two", "three"]
    assert outcome(await client.delete(f"{THREADS}/none?dry_run=true")) == (404, "THREAD_NOT_FOUND")

    erased = data_of(await client.delete(f"{THREADS}?caller=ada"))
    assert (erased["caller"], erased["also_deleted"]["agent_threads"]) == ("ada", 2)
    assert "dry_run" not in erased
    assert data_of(await client.get(THREADS))["threads"] == ["three"]
