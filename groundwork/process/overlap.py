"""Things that take time to come up, while others do."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
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
    """Return the module. The event loop goes on meanwhile, so that what else has begun does too.

    A process that is told to stop meanwhile does not wait for the import to end (see `command.run`).
    """
    loop = asyncio.get_running_loop()
    module: asyncio.Future[ModuleType] = loop.create_future()

    def tell(result: ModuleType | None, error: BaseException | None) -> None:
        if module.done():  # cancelled meanwhile
            return
        if error is not None:
            module.set_exception(error)
        elif result is not None:
            module.set_result(result)

    def work() -> None:
        result, error = None, None
        try:
            result = import_module(name)
        except BaseException as failed:  # noqa: BLE001  # raised again where the module is awaited
            error = failed
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=work, name=f"import-{name}", daemon=True).start()
    return await module
