import asyncio
from contextlib import asynccontextmanager

import pytest

from groundwork.process.overlap import imported, opening


@asynccontextmanager
async def slow(told: list[str]):
    await asyncio.sleep(0.05)
    told.append("opened")
    yield "resource"
    told.append("closed")


async def test_a_resource_opens_beside_the_block_and_closes_with_it():
    told: list[str] = []
    async with opening(slow(told)) as resource:
        module = await imported("groundwork.process.overlap")
        told.append("block")
        assert await resource == "resource"
    assert module.opening is opening
    assert told == ["block", "opened", "closed"]


async def test_a_block_that_fails_early_leaves_nothing_half_open():
    told: list[str] = []
    with pytest.raises(ValueError, match="early"):
        async with opening(slow(told)):
            raise ValueError("early")
    assert told == ["opened", "closed"]


async def test_an_error_in_opening_is_raised_where_the_resource_is_needed():
    @asynccontextmanager
    async def broken():
        raise OSError("no room")
        yield

    with pytest.raises(OSError, match="no room"):
        async with opening(broken()) as resource:
            await resource
