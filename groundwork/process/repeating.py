"""Work that is done again every so many seconds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from groundwork.postgres.pool import DatabaseUnavailable

logger = logging.getLogger(__name__)


async def repeat(work: Callable[[], Awaitable[None]], seconds: float, what: str) -> None:
    """Work every so many seconds, for ever. A failure is logged once until the work is done again."""
    works = True
    while True:
        try:
            await work()
            works = True
        except DatabaseUnavailable as error:
            if works:
                logger.warning("%s failed, database unavailable: %s", what, error)
            works = False
        except Exception:
            if works:
                logger.exception("%s crashed", what)
            works = False
        await asyncio.sleep(seconds)
