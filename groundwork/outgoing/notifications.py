"""What tells a receiver of something: one attempt at a time, and a share of them for each caller."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from groundwork.outgoing.fetch import (
    FetchFailed,
    FetchTimedOut,
    OutgoingPolicy,
    ResponseTooLarge,
    Unreachable,
    fetch,
)

SECONDS_PER_ATTEMPT = 10.0
_LONGEST_ANSWER = 64 * 1024


class TryAgain(Exception):
    """A notification was not delivered, and may be the next time."""


class GiveUp(Exception):
    """A notification was not delivered, and will not be."""


def notification_policy(*, deny_private_networks: bool) -> OutgoingPolicy:
    """Return where notifications may go. A receiver that moves has to say so: what it was told is for the place
    it has named."""
    return OutgoingPolicy(
        timeout_seconds=SECONDS_PER_ATTEMPT,
        max_bytes=_LONGEST_ANSWER,
        max_redirects=0,
        deny_private_networks=deny_private_networks,
    )


async def post_notification(
    client: httpx.AsyncClient, url: str, policy: OutgoingPolicy, headers: Mapping[str, str], payload: bytes
) -> None:
    """Send JSON to a receiver. Raises `TryAgain`, `GiveUp`."""
    sent = {"Content-Type": "application/json", **headers}
    try:
        answer = await fetch(client, "POST", url, policy=policy, headers=sent, content=payload)
    except ResponseTooLarge:
        return  # it was received, and what the receiver has to say does not interest
    except (Unreachable, FetchTimedOut) as error:
        raise TryAgain(error) from None
    except FetchFailed as error:
        raise GiveUp(error) from None
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise TryAgain(f"the receiver answered {answer.status}")
    if answer.status >= 300:
        raise GiveUp(f"the receiver answered {answer.status}")


class FairSlots:
    """So many at once, and of one caller no more than half of these: others find room beside a caller whose
    receivers hang."""

    def __init__(self, at_once: int) -> None:
        self._for_one = max(1, at_once // 2)
        self._at_once = asyncio.Semaphore(at_once)
        self.callers: dict[str, _Share] = {}

    @asynccontextmanager
    async def of(self, caller: str) -> AsyncIterator[None]:
        """Hold one of the caller's."""
        share = self.callers.setdefault(caller, _Share(asyncio.Semaphore(self._for_one)))
        share.users += 1
        try:
            async with share.at_once, self._at_once:
                yield
        finally:
            share.users -= 1
            if not share.users:
                del self.callers[caller]


@dataclass
class _Share:
    """What one caller has of what is done at a time, and how many want it."""

    at_once: asyncio.Semaphore
    users: int = 0
