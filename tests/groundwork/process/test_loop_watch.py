"""What holds an event loop is found out from another thread."""

import asyncio
import logging
import time

import pytest

from groundwork.bounds import HELD_SECONDS
from groundwork.process.loop_watch import LoopWatch
from groundwork.process.own_thread import running_in_thread


def use_the_processor(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def wait_elsewhere() -> None:
    time.sleep(4 * HELD_SECONDS)


async def test_what_holds_the_loop_is_counted_and_told_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch()
    async with running_in_thread("watch", watch.look):
        await asyncio.sleep(0.2)
        use_the_processor(8 * HELD_SECONDS)
        await asyncio.sleep(0.2)
    assert watch.holds >= 1
    told = [record.getMessage() for record in caplog.records if "event loop held" in record.getMessage()]
    assert any("in use_the_processor < " in line and "test_loop_watch.py" in line for line in told)


async def test_a_loop_that_waits_holds_nothing(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch()
    with caplog.at_level(logging.WARNING):
        async with running_in_thread("watch", watch.look):
            wait_elsewhere()
            await asyncio.sleep(4 * HELD_SECONDS)
    assert watch.holds == 0
