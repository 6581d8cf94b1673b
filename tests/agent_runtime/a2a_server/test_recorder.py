"""The recorder's picture of a task and the database's: whatever happens to a transaction, they agree again."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest
import pytest_asyncio
from a2a.types import Task, TaskState
from langchain_core.messages import HumanMessage

from agent_runtime.a2a_server import store
from agent_runtime.a2a_server.feed import task_feed
from agent_runtime.a2a_server.live_tasks import LiveTasks
from agent_runtime.a2a_server.recorder import TaskRecorder
from agent_runtime.a2a_server.tasks import A2ATurnRequest, StoredTask, TaskEvent
from agent_runtime.errors import ThreadWaitsForInput, TurnSuperseded
from agent_runtime.graph.outputs import Completed, NeedsInput, Outcome, Output, Rejected, Replied, Text, ToolCalled
from agent_runtime.turns.reports import TurnReport
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.postgres.pool import Pool
from tests.agent_runtime.a2a_server.serving import chunk

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUBMITTED = TaskState.TASK_STATE_SUBMITTED


class Notifications:
    def __init__(self) -> None:
        self.sent: list[TaskEvent] = []

    def notify(self, task: Task, items: Sequence[TaskEvent], caller: str) -> None:
        self.sent.extend(items)


class Rolled(Exception):
    """Ends a transaction without a commit."""


class Desk:
    """A recorder of one process, and a turn on a thread of its own."""

    def __init__(self, pool: Pool) -> None:
        live_tasks = LiveTasks()
        self.pool = pool
        self.feed = task_feed(pool, live_tasks.runs_here)
        self.recorder = TaskRecorder(live_tasks, self.feed, Notifications())

    async def accept(self, request: TurnRequest | None = None) -> Turn:
        async with self.pool.connection() as conn:
            accepted = await self.recorder.accept(conn, "agent", uuid4(), request or hello())
        accepted.announce()
        self.turn = accepted.turn
        return accepted.turn

    async def put(self, text: str, *, commit: bool = True, told: bool = True) -> None:
        async with self.pool.connection() as conn:
            output = chunk(text, append=True)
            if commit:
                announce = await self.recorder.progressed(conn, self.turn, [output])
            else:
                with suppress(Rolled):
                    async with conn.transaction():
                        await self.recorder.progressed(conn, self.turn, [output])
                        raise Rolled
                return
        if told:
            announce()

    async def end(self, outcome: Outcome, outputs: Sequence[Output] = (), turn: Turn | None = None) -> None:
        async with self.pool.connection() as conn:
            report = TurnReport(turn or self.turn).ending(outcome)
            (await self.recorder.ended(conn, turn or self.turn, outcome, outputs, None, report))()

    async def start(self, turn: Turn) -> None:
        async with self.pool.connection() as conn, conn.transaction():
            (await self.recorder.started(conn, turn))()

    async def stored(self) -> StoredTask:
        async with self.pool.connection() as conn:
            stored = await store.read_task(conn, self.turn.task_id)
        assert stored is not None
        return stored

    async def text(self) -> str:
        return "".join(part.text for artifact in (await self.stored()).task.artifacts for part in artifact.parts)


def hello(task_id: str = "t", *, answers: bool = False) -> A2ATurnRequest:
    request = A2ATurnRequest("c", task_id, "", "m", HumanMessage("hello"), answers=answers)
    request.original.message_id = f"m-{answers}"
    return request


@pytest_asyncio.fixture(loop_scope="module")
async def desk(pool: Pool) -> Desk:
    return Desk(pool)


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
    other = Desk(pool)
    other.turn = replace(desk.turn, attempt=2)
    async with pool.connection() as conn:
        await conn.execute("UPDATE agent_turns SET attempt = 2")
    await other.put("b")
    with pytest.raises(TurnSuperseded):
        await desk.put("late")
    await other.end(Replied((Text("bye"),)))
    stored = await desk.stored()
    assert (await desk.text(), stored.state, stored.version) == ("ab", "COMPLETED", 4)
    assert stored.task.status.message.parts[0].text == "bye"


async def test_outputs_and_the_end_are_one_write(desk: Desk) -> None:
    await desk.accept()
    with desk.feed.follow("t", 1) as follower:
        await desk.end(Completed(), [chunk("a", append=False), ToolCalled("1", "add", {})])
        items = [await follower.next(5) for _ in range(3)]
    stored = await desk.stored()
    assert (await desk.text(), stored.state, stored.version) == ("a", "COMPLETED", 4)
    assert [item.version for item in items if item] == [2, 3, 4]


async def test_an_end_on_top_of_a_write_nobody_heard_of_keeps_both(desk: Desk) -> None:
    await desk.accept()
    await desk.put("never", commit=False)
    await desk.end(Completed(), [chunk("a", append=False)])
    assert (await desk.text(), (await desk.stored()).version) == ("a", 3)


async def test_nothing_is_written_for_a_task_that_was_deleted(desk: Desk, pool: Pool) -> None:
    await desk.accept()
    async with pool.connection() as conn:
        await conn.execute("DELETE FROM a2a_tasks")
    with pytest.raises(TurnSuperseded):
        await desk.end(Completed())
    with pytest.raises(TurnSuperseded):
        await desk.put("a")


async def test_no_other_turn_starts_while_an_answer_waits_in_the_queue(desk: Desk) -> None:
    first = await desk.accept()
    behind = await desk.accept(hello("behind"))
    await desk.end(NeedsInput((Text("sure?"),)), turn=first)
    answering = await desk.accept(hello(answers=True))
    assert ((stored := await desk.stored()).state, stored.task.status.state) == ("ANSWERED", SUBMITTED)
    with pytest.raises(ThreadWaitsForInput):
        await desk.start(behind)
    await desk.end(Rejected("it waits"), turn=behind)
    await desk.start(answering)
    assert (await desk.stored()).state == "WORKING"


async def test_a_turn_that_did_not_come_over_a2a_has_a_task_too(desk: Desk) -> None:
    await desk.accept()
    await desk.accept(TurnRequest("c", "other", "", "m", HumanMessage("hello")))
    stored = await desk.stored()
    assert (stored.state, stored.task.history[0].parts[0].text) == ("SUBMITTED", "hello")
