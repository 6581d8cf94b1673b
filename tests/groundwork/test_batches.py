"""Calls that come together are answered together."""

import asyncio
from collections.abc import Sequence

import pytest

from registry.batches import Batches


class Doubling:
    """Doubles numbers, and remembers which came together. It goes on when it is let to."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.may_answer = asyncio.Event()

    async def ask(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        await self.may_answer.wait()
        if 13 in numbers:
            raise ValueError("not that one")
        return [2 * number for number in numbers]


async def start(batches: Batches[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(batches.ask(number)) for number in numbers]
    await asyncio.sleep(0.01)
    return tasks


async def test_what_comes_while_one_is_being_answered_is_asked_together():
    doubling = Doubling()
    batches = Batches(doubling.ask, most=3)
    tasks = [*await start(batches, 1), *await start(batches, 2, 3, 4, 5)]
    doubling.may_answer.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
    assert doubling.asked == [[1], [2, 3, 4], [5]]


async def test_each_call_after_another_is_asked_at_once():
    doubling = Doubling()
    doubling.may_answer.set()
    batches = Batches(doubling.ask)
    assert [await batches.ask(number) for number in (1, 2)] == [2, 4]
    assert doubling.asked == [[1], [2]]


async def test_a_failure_is_that_of_all_who_asked_together_and_of_nobody_else():
    doubling = Doubling()
    batches = Batches(doubling.ask)
    first, second, unlucky = *await start(batches, 1), *await start(batches, 2, 13)
    doubling.may_answer.set()
    assert await first == 2
    for task in (second, unlucky):
        with pytest.raises(ValueError, match="not that one"):
            await task
    assert await batches.ask(3) == 6


async def test_who_is_cancelled_takes_nothing_from_the_others():
    doubling = Doubling()
    batches = Batches(doubling.ask)
    impatient, second, third = *await start(batches, 1), *await start(batches, 2, 3)
    impatient.cancel()
    second.cancel()
    doubling.may_answer.set()
    assert await third == 6
    assert impatient.cancelled()


async def test_after_a_call_for_several_the_next_waits_for_more_to_come():
    doubling = Doubling()
    batches = Batches(doubling.ask, pause=0.1)
    tasks = [*await start(batches, 1), *await start(batches, 2, 3)]
    doubling.may_answer.set()
    await asyncio.gather(*tasks)
    tasks = [*await start(batches, 4), *await start(batches, 5)]
    assert await asyncio.gather(*tasks) == [8, 10]
    assert doubling.asked == [[1], [2, 3], [4, 5]]
