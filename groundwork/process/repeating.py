"""Work that is done again every so many seconds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from groundwork.postgres.pool import DatabaseUnavailable

logger = logging.getLogger(__name__)


async def repeat(work: Callable[[], Awaitable[None]], seconds: float, otherwise: str) -> None:
    """Works every so many seconds, for ever. What keeps it from working is logged once until it works again."""
    works = True
    while True:
        try:
            await work()
            works = True
        except DatabaseUnavailable as error:
            if works:
                logger.warning("%s for now: %s", otherwise, error)
            works = False
        except Exception:
            if works:
                logger.exception("%s", otherwise)
            works = False
        await asyncio.sleep(seconds)
