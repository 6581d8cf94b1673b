"""The public URL on the agent card, and its change while the agent runs."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agent_runtime.errors import InvalidValue
from agent_runtime.live_settings.env_file import set_variable
from agent_runtime.settings import AgentSettings, check_public_url
from groundwork.http.hosts import OwnHosts


def hosts_of_callers(settings: AgentSettings, current_url: Callable[[], str]) -> OwnHosts:
    """Return what callers without a token have to name, and which pages they may come from."""
    return OwnHosts(
        settings.a2a_allowed_hosts,
        setting="A2A_ALLOWED_HOSTS",
        also=lambda: (urlsplit(current_url()).hostname or "",),
        origins=settings.cors_origins,
    )


@dataclass(frozen=True)
class CardUrlChange:
    """`persisted`: `.env` now says the same; otherwise the change is lost at restart."""

    url: str
    previous_url: str
    persisted: bool


class CardUrl:
    """The URL in force. Read `url` when a card is made, never keep a copy.

    `env_file` is the `.env` that the settings were read from; None when there was none, or when the
    environment itself sets `PUBLIC_AGENT_URL` and would win over the file at the next start. Whoever is in
    `on_change` is called when another URL has come into force.
    """

    def __init__(self, initial: str, env_file: Path | None) -> None:
        self._url = initial
        self._env_file = env_file
        self._writing = threading.Lock()
        self.on_change: list[Callable[[], None]] = []

    @property
    def url(self) -> str:
        return self._url

    async def change(self, url: str) -> CardUrlChange:
        """Takes effect at once, then goes to `.env`. Raises `InvalidValue` when it cannot stand on a card."""
        self.check(url)
        previous = self._url
        self.put_in_force(url)
        return CardUrlChange(url, previous, await self.persist())

    def check(self, url: str) -> None:
        """Raises `InvalidValue` when the URL cannot stand on a card."""
        try:
            check_public_url(url)
        except ValueError as error:
            raise InvalidValue("url", f"url {error}") from None

    def put_in_force(self, url: str) -> None:
        """In this process, and as long as it runs."""
        previous, self._url = self._url, url
        if url != previous:
            for listener in self.on_change:
                listener()

    async def persist(self) -> bool:
        """Writes what is in force to `.env`; whether that worked."""
        return await asyncio.to_thread(self._persist)

    def _persist(self) -> bool:
        # What is in force when the file's turn comes is written, not what a caller asked for: of changes
        # that overlap, the file ends with the one the memory ended with, and so it does when a caller leaves.
        with self._writing:
            return self._env_file is not None and set_variable(self._env_file, "PUBLIC_AGENT_URL", self._url)
