"""`registry audit` reads the log in the registry's database, and says by its exit status whether it is whole."""

import json
import re

from groundwork.postgres.pool import Pool
from tests.registry.audit.logs import actor, tamper, write_entries, write_entry
from tests.registry.cli.commands import registry_command


async def test_a_whole_log_is_said_to_be_with_its_heads(registry_pool: Pool, registry_dsn: str) -> None:
    await write_entries(registry_pool, 2)
    await write_entries(registry_pool, 1, "acme")
    done = await registry_command("audit", "verify", database_url=registry_dsn)
    acme, default = done.stdout.splitlines()
    assert done.exit_code == 0
    assert acme.startswith("acme: 1 entry, whole; head 1:")
    assert default.startswith("default: 2 entries, whole; head 2:")


async def test_a_broken_log_ends_the_command_with_1(registry_pool: Pool, registry_dsn: str) -> None:
    await write_entries(registry_pool, 3)
    await tamper(registry_pool, "UPDATE audit_entries SET actor_id = 'nobody' WHERE sequence = 2")
    done = await registry_command("audit", "verify", database_url=registry_dsn)
    assert done.exit_code == 1
    assert "default: 3 entries, BROKEN at entry 2: hash differs" in done.stdout


async def test_what_was_noted_is_compared(registry_pool: Pool, registry_dsn: str) -> None:
    await write_entries(registry_pool, 2)
    before = json.loads((await registry_command("audit", "verify", "--json", database_url=registry_dsn)).stdout)
    await tamper(registry_pool, "DELETE FROM audit_entries; DELETE FROM audit_chains")
    await write_entries(registry_pool, 2)
    expect = ("audit", "verify", "--expect", before[0]["head"], "--json")
    after = await registry_command(*expect, database_url=registry_dsn)
    assert (before[0]["ok"], after.exit_code) == (True, 1)
    assert json.loads(after.stdout)[0]["problem"].endswith("the chain was written anew")


async def test_a_note_that_is_none_is_refused(registry_dsn: str) -> None:
    done = await registry_command("audit", "verify", "--expect", "5", database_url=registry_dsn)
    assert done.exit_code == 2
    assert done.stderr == (
        "registry: --expect 5: accepted: a sequence number, a colon, and 64 hexadecimal digits\n"
    )


async def test_a_log_that_is_not_there_cannot_be_whole(registry_dsn: str) -> None:
    done = await registry_command("audit", "verify", "--tenant", "acmee", database_url=registry_dsn)
    assert (done.exit_code, done.stderr) == (2, "registry: not found: audit log of tenant acmee\n")


async def test_entries_are_listed_by_what_is_wanted(registry_pool: Pool, registry_dsn: str) -> None:
    await write_entry(registry_pool, "agent_paused", "agent:one", actor("ann", "acme"))
    await write_entry(registry_pool, "agent_paused", "agent:two", actor("bob", "acme"))
    listed = ("audit", "list", "--tenant", "acme", "--actor-id", "ann")
    done = await registry_command(*listed, "--json", database_url=registry_dsn)
    page = json.loads(done.stdout)
    assert [item["subject"] for item in page["items"]] == ["agent:one"]
    assert page["total"] == 1
    lines = (await registry_command(*listed, database_url=registry_dsn)).stdout.splitlines()
    headings = ["sequence", "created at", "event type", "actor id", "role", "subject", "execution id"]
    assert re.split(r" {2,}", lines[0]) == headings
    assert "agent:one" in lines[1]
