"""The recorder's picture of a task and the database's: whatever happens to a transaction, they agree again."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import pytest_asyncio
from a2a.types import Task, TaskState
from langchain_core.messages import HumanMessage

from agent_runtime.a2a_server import store
from agent_runtime.a2a_server.accounts import Accounts
from agent_runtime.a2a_server.feed import Feed
from agent_runtime.a2a_server.recorder import TaskRecorder
from agent_runtime.a2a_server.tasks import A2ATurnRequest, StoredTask, TaskEvent
from agent_runtime.errors import ThreadWaitsForInput, TurnSuperseded
from agent_runtime.turns.outputs import Completed, NeedsInput, Output, Rejected, Replied, Text, ToolCalled
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.postgres import Pool
from tests.agent_runtime.a2a_server.serving import chunk

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUBMITTED = TaskState.TASK_STATE_SUBMITTED


class Notifications:
    def __init__(self) -> None:
        self.sent: list[TaskEvent] = []

    def notify(self, task: Task, items: Sequence[TaskEvent]) -> None:
        self.sent.extend(items)


class Rolled(Exception):
    """Ends a transaction without a commit."""


class Desk:
    """A recorder of one process, and a turn on a thread of its own."""

    def __init__(self, pool: Pool, turn: Turn) -> None:
        accounts = Accounts()
        self.pool, self.turn = pool, turn
        self.feed = Feed(pool, accounts.runs_here)
        self.recorder = TaskRecorder(accounts, self.feed, Notifications())

    async def accept(self) -> None:
        message = HumanMessage("hello")
        request = A2ATurnRequest(self.turn.thread_id, self.turn.task_id, "", "m", message)
        request.original.message_id = "m"
        async with self.pool.connection() as conn, conn.transaction():
            announce = await self.recorder.accepted(conn, self.turn, request, queued=False)
        announce()

    async def put(self, text: str, *, commit: bool = True, told: bool = True) -> None:
        try:
            async with self.pool.connection() as conn, conn.transaction():
                output = chunk(text, append=True)
                announce = await self.recorder.progressed(conn, self.turn, [output])
                if not commit:
                    raise Rolled
        except Rolled:
            return
        if told:
            announce()

    async def stored(self) -> StoredTask:
        async with self.pool.connection() as conn:
            stored = await store.read_task(conn, self.turn.task_id)
        assert stored is not None
        return stored

    async def text(self) -> str:
        return "".join(part.text for artifact in (await self.stored()).task.artifacts for part in artifact.parts)


@pytest_asyncio.fixture(loop_scope="module")
async def desk(pool: Pool) -> Desk:
    async with pool.connection() as conn:
        await conn.execute("INSERT INTO agent_owners (agent_id) VALUES ('agent')")
        await conn.execute(
            "INSERT INTO agent_threads (thread_id, owner_key) SELECT 'c', owner_key FROM agent_owners"
        )
        row = await (await conn.execute("SELECT owner_key FROM agent_owners")).fetchone()
    assert row is not None
    return Desk(pool, Turn(1, "c", "t", row["owner_key"], "", 1))


async def test_a_write_that_is_rolled_back_is_forgotten(desk: Desk) -> None:
    await desk.accept()
    await desk.put("a")
    await desk.put("never", commit=False)
    await desk.put("b")
    assert await desk.text() == "ab"
    assert (await desk.stored()).version == 3


async def test_a_write_whose_commit_nobody_heard_of_is_kept(desk: Desk) -> None:
    await desk.accept()
    await desk.put("a", told=False)
    with desk.feed.follow("t", 1) as follower:
        follower.watch()
        await desk.put("b")
        items = [await follower.next(5), await follower.next(5)]
    assert [item.version for item in items if item] == [2, 3]
    assert await desk.text() == "ab"


async def test_a_process_that_takes_over_goes_on_where_the_other_stopped(desk: Desk, pool: Pool) -> None:
    await desk.accept()
    await desk.put("a")
    other = Desk(pool, Turn(1, "c", "t", desk.turn.owner_key, "", 2))
    await other.put("b")
    async with pool.connection() as conn, conn.transaction():
        (await other.recorder.ended(conn, other.turn, Replied((Text("bye"),))))()
    stored = await desk.stored()
    assert (await desk.text(), stored.state, stored.version) == ("ab", "COMPLETED", 4)
    assert stored.task.status.message.parts[0].text == "bye"


async def test_outputs_and_the_end_fit_into_one_transaction(desk: Desk, pool: Pool) -> None:
    await desk.accept()
    async with pool.connection() as conn, conn.transaction():
        outputs: list[Output] = [chunk("a", append=False), ToolCalled("1", "add", {})]
        announcements = [await desk.recorder.progressed(conn, desk.turn, outputs)]
        announcements.append(await desk.recorder.ended(conn, desk.turn, Completed()))
    for announce in announcements:
        announce()
    stored = await desk.stored()
    assert (await desk.text(), stored.state, stored.version) == ("a", "COMPLETED", 4)


async def test_nothing_is_written_for_a_task_that_was_deleted(desk: Desk, pool: Pool) -> None:
    await desk.accept()
    async with pool.connection() as conn:
        await conn.execute("DELETE FROM a2a_tasks")
        with pytest.raises(TurnSuperseded):
            await desk.recorder.ended(conn, desk.turn, Completed())
        with pytest.raises(TurnSuperseded):
            await desk.recorder.progressed(conn, desk.turn, [chunk("a", append=False)])


async def test_no_other_turn_starts_while_an_answer_waits_in_the_queue(desk: Desk, pool: Pool) -> None:
    await desk.accept()
    behind = replace(desk.turn, turn_id=2, task_id="behind")
    answering = replace(desk.turn, turn_id=3)
    answer = A2ATurnRequest("c", "t", "", "m2", HumanMessage("yes"), answers=True)
    async with pool.connection() as conn:
        request = replace(answer, task_id="behind", answers=False)
        (await desk.recorder.accepted(conn, behind, request, queued=True))()
        (await desk.recorder.ended(conn, desk.turn, NeedsInput((Text("sure?"),))))()
        (await desk.recorder.accepted(conn, answering, answer, queued=True))()
        assert ((stored := await desk.stored()).state, stored.task.status.state) == ("ANSWERED", SUBMITTED)
        with pytest.raises(ThreadWaitsForInput):
            await desk.recorder.started(conn, behind)
        (await desk.recorder.ended(conn, behind, Rejected("it waits")))()
        (await desk.recorder.started(conn, answering))()
    assert (await desk.stored()).state == "WORKING"


async def test_a_turn_that_did_not_come_over_a2a_has_a_task_too(desk: Desk, pool: Pool) -> None:
    async with pool.connection() as conn, conn.transaction():
        request = TurnRequest("c", "t", "", "m", HumanMessage("hello"))
        (await desk.recorder.accepted(conn, desk.turn, request, queued=True))()
    stored = await desk.stored()
    assert (stored.state, stored.task.history[0].parts[0].text) == ("SUBMITTED", "hello")
