"""Things that take time to come up, while others do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from types import ModuleType
from typing import TypeVar

Opened = TypeVar("Opened")


@asynccontextmanager
async def opening(resource: AbstractAsyncContextManager[Opened]) -> AsyncIterator[asyncio.Future[Opened]]:
    """Begins to open the resource, and closes it with the block, which awaits it when it needs it. An error in
    opening it is raised there."""
    entering = asyncio.ensure_future(resource.__aenter__())
    try:
        yield entering
    finally:
        # To its end, also when the block is over before: what is half open can be closed by nobody.
        await asyncio.wait([entering])
        if not entering.cancelled() and entering.exception() is None:
            await resource.__aexit__(None, None, None)


async def imported(name: str) -> ModuleType:
    """The module. The event loop goes on meanwhile, so that what else has begun does too."""
    return await asyncio.to_thread(import_module, name)
