"""Erasing what a person has said, wherever a tenant's registry and agents keep it."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from uuid import UUID, uuid4, uuid5

from groundwork.postgres.pool import Connection, Pool, connection, transaction
from groundwork.process.each_row import EachRow
from registry.access import Principal
from registry.audit.store import append_entry
from registry.checks import is_id
from registry.erasures import store
from registry.erasures.models import Erasure, ErasureBody, Found, Order, ReceiptBody, Work
from registry.errors import Conflict, InvalidRequest, NotFound
from registry.executions.models import read_execution_id

logger = logging.getLogger(__name__)

WORK_SECONDS = 1.0
"""How often a registry looks for erasures with something to do in its own database."""

_BATCH = 100
_PART = 500
"""How many executions one transaction erases, and of how many an agent is told at a time."""

_SYSTEM = "erasures"


class Erasures:
    """The erasures of all tenants. The registry does its own part beside the requests; agents ask for theirs when
    a heartbeat is answered that there is one, so that those behind NAT are reached, and those that were down, once
    they are back. Raises `DatabaseUnavailable` everywhere."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._rows = EachRow("erasing executions", logger)

    async def request(self, principal: Principal, body: ErasureBody) -> Erasure:
        """Begins it. Raises `InvalidRequest`."""
        _check(body)
        erasure_id = uuid4()
        said = json.dumps([body.caller, sorted(body.thread_ids)], ensure_ascii=False)
        async with transaction(self._pool) as conn:
            subject_hash = hashlib.sha256(said.encode()).digest()
            await store.create_erasure(
                conn, erasure_id, principal.tenant_id, body.caller, body.thread_ids, subject_hash
            )
            erasure = await store.get_erasure(conn, principal.tenant_id, erasure_id)
            await append_entry(
                conn, principal, "erasure_requested", f"erasure:{erasure_id}", agents=len(erasure.agents)
            )
        return erasure

    async def find(self, principal: Principal, body: ErasureBody) -> Found:
        """What there is of it in the registry now; nothing is erased. Raises `InvalidRequest`."""
        _check(body)
        rows: Counter[str] = Counter(dict.fromkeys(store.ERASED_TABLES, 0))
        found: list[UUID] = []
        async with connection(self._pool) as conn:
            while batch := await self._further(conn, principal.tenant_id, body.caller, body.thread_ids, found):
                rows += await store.count_rows(conn, principal.tenant_id, batch)
                found += batch
            agents = await store.list_agent_ids(conn, principal.tenant_id)
        return Found({table: rows[table] for table in store.ERASED_TABLES}, agents)

    async def list_erasures(self, principal: Principal, before: int | None, limit: int) -> list[Erasure]:
        """The newest first."""
        async with connection(self._pool) as conn:
            return await store.list_erasures(conn, principal.tenant_id, before, limit)

    async def get_erasure(self, principal: Principal, erasure_id: UUID) -> Erasure:
        """Raises `NotFound`."""
        async with connection(self._pool) as conn:
            return await store.get_erasure(conn, principal.tenant_id, erasure_id)

    async def claim(self, principal: Principal, agent_id: str) -> list[Order]:
        """What the agent has to erase; for a minute no other process of it is told the same.

        Raises `NotFound` for what no agent can be called.
        """
        if not is_id(agent_id):
            raise NotFound(
                "there is no such agent: an id is 1 to 255 printable characters without blanks and slashes"
            )
        async with transaction(self._pool) as conn:
            rows = await store.claim_orders(conn, principal.tenant_id, agent_id, _PART)
            places = await store.list_places(conn, principal.tenant_id, agent_id) if rows else []
        return [
            Order(
                row["erasure_id"],
                row["part"],
                row["caller"],
                [
                    *(row["thread_ids"] if row["part"] == 0 else ()),
                    *(str(uuid5(execution, place)) for execution in row["execution_ids"] for place in places),
                ],
            )
            for row in rows
        ]

    async def answer(self, principal: Principal, erasure_id: UUID, receipt: ReceiptBody) -> Erasure:
        """Takes an agent's receipt, or why it has none yet. One that comes twice counts once. Raises `NotFound`,
        and `Conflict` for a part that the agent was not asked for."""
        async with transaction(self._pool) as conn:
            asked = await store.lock_asked_agent(conn, principal.tenant_id, erasure_id, receipt.agent_id)
            if receipt.part > asked["part"]:
                raise Conflict(f"part is {receipt.part}, and the agent was asked for part {asked['part']}")
            if not asked["has_answered"] and receipt.part == asked["part"]:
                await self._take(conn, principal, erasure_id, receipt, executions=asked["executions"])
            return await store.get_erasure(conn, principal.tenant_id, erasure_id)

    async def work(self) -> None:
        """Does the registry's own part of what is waiting, some executions in a transaction."""
        while await self._step():
            pass

    async def _take(
        self, conn: Connection, principal: Principal, erasure_id: UUID, receipt: ReceiptBody, *, executions: int
    ) -> None:
        if receipt.error is not None:
            await store.note_failure(conn, erasure_id, receipt.agent_id, receipt.error)
            return
        last = (receipt.part + 1) * _PART >= executions
        await store.note_receipt(conn, erasure_id, receipt.agent_id, receipt.rows, receipt.peers, last=last)
        if last:
            await self._complete(conn, principal, erasure_id)

    async def _step(self) -> bool:
        """Whether there was something to do."""
        async with transaction(self._pool) as conn:
            work = await store.take_work(conn, self._rows.resting())
            if work is None:
                return False
            with self._rows.handling(work.erasure_id, erasure_id=work.erasure_id):
                async with conn.transaction():
                    await self._erase(conn, work)
        return True

    async def _erase(self, conn: Connection, work: Work) -> None:
        batch = await self._further(conn, work.tenant_id, work.caller, work.thread_ids, work.execution_ids)
        rows = await store.erase_executions(conn, work.tenant_id, batch)
        await store.note_work(conn, work.erasure_id, batch, rows, done=not batch)
        if not batch:
            system = Principal(work.tenant_id, "operator", _SYSTEM, "system")
            await self._complete(conn, system, work.erasure_id)

    async def _further(
        self,
        conn: Connection,
        tenant_id: str,
        caller: str | None,
        thread_ids: Sequence[str],
        found: Sequence[UUID],
    ) -> list[UUID]:
        named = [execution_id for each in thread_ids if (execution_id := read_execution_id(each)) is not None]
        return await store.list_executions(conn, tenant_id, caller, named, found, _BATCH)

    async def _complete(self, conn: Connection, principal: Principal, erasure_id: UUID) -> None:
        tenant_id = await store.complete_erasure(conn, erasure_id)
        if tenant_id is not None:
            await append_entry(conn, principal, "erasure_completed", f"erasure:{erasure_id}", tenant_id=tenant_id)
            logger.info("erasure completed erasure_id=%s", erasure_id)


def _check(body: ErasureBody) -> None:
    if not body.caller and not body.thread_ids:
        raise InvalidRequest("say whose words are to be erased: caller, or thread_ids")


def read_erasure_id(text: str) -> UUID:
    """Raises `NotFound`: there can be no erasure of another form of id."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"erasure {text}") from None
