"""Loops beside the requests."""

import asyncio

import pytest

from groundwork.process import background
from groundwork.process.background import let_end, running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_FIRST_PAUSE_SECONDS", 0.01)


class Work:
    """Crashes as often as it is told to, and then goes on until it is stopped."""

    def __init__(self, crashes: int = 0) -> None:
        self.crashes, self.begun, self.stopped = crashes, 0, False
        self.is_well = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        if self.begun <= self.crashes:
            raise RuntimeError("the cat sat on it")
        self.is_well.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True


async def test_a_job_runs_while_the_block_runs() -> None:
    work = Work()
    async with running("work", work):
        await asyncio.wait_for(work.is_well.wait(), 5)
        assert not work.stopped
    assert work.stopped


async def test_a_job_that_crashes_begins_again_and_each_crash_is_told(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(crashes=2)
    async with running("work", work):
        await asyncio.wait_for(work.is_well.wait(), 5)
    assert work.begun == 3
    assert caplog.text.count("background job crashed name=work") == 2
    assert "the cat sat on it" in caplog.text


async def test_a_job_that_is_done_is_not_begun_again() -> None:
    begun = []

    async def work() -> None:
        begun.append(1)

    async with running("work", work):
        await asyncio.sleep(0.05)
    assert begun == [1]


async def test_a_job_that_crashes_when_it_is_stopped_is_not_begun_again() -> None:
    begun = []

    async def work() -> None:
        begun.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("the cat sat on it")

    async with asyncio.timeout(5), running("work", work):
        await asyncio.sleep(0.02)
    assert begun == [1]


async def test_an_error_of_the_block_is_what_comes_out_of_it() -> None:
    async def fail() -> None:
        async with running("work", Work(crashes=1)):
            await asyncio.sleep(0)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()


async def test_work_that_is_let_end_ends_or_is_stopped_when_the_time_is_over() -> None:
    quick, slow = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(60))
    assert await let_end({quick, slow}, 0.05) == 1
    assert (quick.cancelled(), slow.cancelled()) == (False, True)


async def test_without_any_time_work_is_stopped_at_once() -> None:
    slow = asyncio.create_task(asyncio.sleep(60))
    assert await let_end([slow], 0) == 1
    assert slow.cancelled()
