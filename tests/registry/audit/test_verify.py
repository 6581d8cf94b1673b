"""A changed audit log is found out, by what is in it or by what somebody noted of it."""

import asyncio
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Pool, open_pool
from registry.audit.chain import ChainReport, Mark
from registry.audit.service import Audit
from tests.registry.audit.logs import tamper, write_entries

LENGTH = 5

GONE = "DELETE FROM audit_entries; DELETE FROM audit_chains"

HASHED_ANEW = (
    "UPDATE audit_entries e SET subject = 'agent:9', hash = audit_entry_hash(ROW(changed.*)::audit_entries)"
    ' FROM (SELECT (jsonb_populate_record(e, \'{"subject": "agent:9"}\')).* FROM audit_entries e) changed'
    " WHERE changed.sequence = e.sequence"
)

CHANGES = {
    "a changed detail": ("UPDATE audit_entries SET detail = '{}' WHERE sequence = 3", 3, "hash differs"),
    "a number written otherwise": (
        """UPDATE audit_entries SET detail = '{"cost": 1.50}' WHERE sequence = 3""",
        3,
        "hash differs",
    ),
    "another actor": ("UPDATE audit_entries SET actor_id = 'nobody' WHERE sequence = 1", 1, "hash differs"),
    "no role": ("UPDATE audit_entries SET role = NULL WHERE sequence = 2", 2, "hash differs"),
    "a moved time": (
        "UPDATE audit_entries SET created_at = created_at - interval '1 microsecond' WHERE sequence = 3",
        3,
        "hash differs",
    ),
    "a time that is none": (
        "UPDATE audit_entries SET created_at = 'infinity' WHERE sequence = 3",
        3,
        "hash differs",
    ),
    "an entry with its hash": (
        f"{HASHED_ANEW} AND e.sequence = 3",
        4,
        "previous_hash differs",
    ),
    "the last entry with its hash": (
        f"{HASHED_ANEW} AND e.sequence = 5",
        5,
        "head differs",
    ),
    "an entry that is gone": ("DELETE FROM audit_entries WHERE sequence = 3", 3, "gap: entries 3 to 3 are"),
    "the first entries gone": ("DELETE FROM audit_entries WHERE sequence < 3", 1, "gap: entries 1 to 2 are"),
    "the last entries gone": ("DELETE FROM audit_entries WHERE sequence > 3", 4, "gap: entries 4 to 5, the last"),
    "a total that is another": ("UPDATE audit_totals SET entries = 0", 5, "5 are there, 0 are counted"),
    "the chain and its head gone": (GONE, 1, "chain is missing"),
    "all entries gone": ("DELETE FROM audit_entries", 1, "gap: entries 1 to 5, the last"),
    "two entries exchanged": (
        # One at a time: a number is taken as soon as a row has it, in whichever order rows are come to.
        "UPDATE audit_entries SET sequence = 13 WHERE sequence = 2;"
        " UPDATE audit_entries SET sequence = 2 WHERE sequence = 3;"
        " UPDATE audit_entries SET sequence = 3 WHERE sequence = 13",
        2,
        "previous_hash differs",
    ),
    "an entry beyond the end": (
        "INSERT INTO audit_entries SELECT (jsonb_populate_record(e, '{\"sequence\": 6}')).* FROM audit_entries e"
        " WHERE sequence = 5",
        6,
        "beyond the head",
    ),
    "an entry before the first": (
        "INSERT INTO audit_entries SELECT (jsonb_populate_record(e, '{\"sequence\": 0}')).* FROM audit_entries e"
        " WHERE sequence = 5",
        0,
        "before the first",
    ),
    "a head that is gone": ("DELETE FROM audit_chains", 5, "the head is missing"),
    "a head with another hash": ("UPDATE audit_chains SET hash = sha256('')", 5, "head differs"),
}


@pytest.fixture
async def log(registry_pool: Pool) -> Audit:
    """A log of five entries."""
    await write_entries(registry_pool, LENGTH, cost=1.5)
    return Audit(registry_pool)


async def verify(audit: Audit, noted: Mark | None = None) -> ChainReport:
    (report,) = await audit.verify(noted=noted)
    return report


async def head_of(audit: Audit) -> Mark:
    head = (await verify(audit)).head
    assert head is not None
    return head


async def test_a_log_as_it_was_written_is_whole(log: Audit) -> None:
    report = await verify(log)
    assert (report.tenant_id, report.entries, report.problem) == ("default", LENGTH, None)
    assert report.head is not None
    assert report.head.sequence == LENGTH


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_found_where_it_is(log: Audit, registry_pool: Pool, change: str) -> None:
    statement, broken_at, problem = CHANGES[change]
    await tamper(registry_pool, statement)
    report = await verify(log)
    assert report.broken_at == broken_at
    assert report.problem is not None
    assert problem in report.problem


async def test_each_tenant_has_a_chain_of_its_own(log: Audit, registry_pool: Pool) -> None:
    await write_entries(registry_pool, 2, "acme")
    await tamper(registry_pool, "DELETE FROM audit_entries WHERE tenant_id = 'acme' AND sequence = 1")
    acme, default = await log.verify()
    assert (acme.tenant_id, acme.broken_at) == ("acme", 1)
    assert (default.tenant_id, default.problem) == ("default", None)
    assert await log.verify("default") == [default]


async def test_a_chain_that_goes_on_agrees_with_what_was_noted(log: Audit, registry_pool: Pool) -> None:
    noted = await head_of(log)
    await write_entries(registry_pool, 2)
    assert (await verify(log, Mark.parse(str(noted)))).problem is None


async def test_a_chain_written_anew_does_not(log: Audit, registry_pool: Pool) -> None:
    noted = await head_of(log)
    await tamper(registry_pool, f"{GONE}; DELETE FROM audit_totals")
    await write_entries(registry_pool, LENGTH)
    assert (await verify(log)).problem is None
    report = await verify(log, noted)
    assert (report.broken_at, report.problem) == (
        LENGTH,
        "entry 5 is not the one that was noted: the chain was written anew",
    )


async def test_nor_does_one_that_was_cut(log: Audit, registry_pool: Pool) -> None:
    noted = await head_of(log)
    cut = "UPDATE audit_chains c SET sequence = 4, hash = e.hash FROM audit_entries e WHERE e.sequence = 4"
    await tamper(
        registry_pool, f"{cut}; DELETE FROM audit_entries WHERE sequence = 5; UPDATE audit_totals SET entries = 4"
    )
    assert (await verify(log)).problem is None
    report = await verify(log, noted)
    assert (report.broken_at, report.problem) == (5, "the chain was cut: it went to entry 5 at least")


async def test_nor_one_that_is_not_there_at_all(log: Audit, registry_pool: Pool) -> None:
    noted = await head_of(log)
    await tamper(registry_pool, f"{GONE}; DELETE FROM audit_totals")
    assert await log.verify() == []
    assert (await verify(log, noted)).problem == "the chain was cut: it went to entry 5 at least"


async def test_it_looks_at_one_moment_while_others_write(log: Audit, registry_pool: Pool) -> None:
    async def write() -> None:
        await write_entries(registry_pool, 30)

    writing = asyncio.create_task(write())
    reports = [await verify(log) for _ in range(5)]
    await writing
    assert [report.problem for report in reports] == [None] * 5


@pytest.mark.parametrize("text", ["", "5", "5:abc", "0:" + 64 * "a", "-1:" + 64 * "a", "5:" + 64 * "g"])
def test_a_note_is_a_number_and_a_hash(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        Mark.parse(text)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
details = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


def test_whatever_an_entry_holds_its_hash_can_be_computed_again(registry_dsn: str) -> None:
    with psycopg.connect(registry_dsn, autocommit=True) as conn:

        @given(st.lists(texts, min_size=4, max_size=4), texts | st.none(), details)
        @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def write(names: list[str], text: str | None, detail: dict[str, Any]) -> None:
            given_values = ["default", *names[:3], text, names[3], text, Jsonb(detail), text]
            conn.execute("SELECT append_audit_entry(%s, %s, %s, %s, %s, %s, %s, %s, %s)", given_values)

        write()
    report = asyncio.run(verify_at(registry_dsn))
    assert report.entries >= 100
    assert report.problem is None


async def verify_at(dsn: str) -> ChainReport:
    async with open_pool(dsn, name="verify", max_size=2) as pool:
        return await verify(Audit(pool))
