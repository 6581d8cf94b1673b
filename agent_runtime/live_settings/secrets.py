"""The tokens of a running agent, which can be exchanged without a restart."""

import logging
import time
from collections.abc import Callable

from agent_runtime.settings import AgentSettings
from groundwork.http.known_tokens import KnownTokens
from groundwork.process.settings import BadSetting
from groundwork.telemetry.logs import hide

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0
"""Who sends wrong tokens, however many, costs one reading a second."""


class LiveSecrets:
    """What callers of the agent are let in with, and the agent by its registry.

    `read` builds the settings anew; without it the tokens stay what they are.
    """

    def __init__(self, settings: AgentSettings, read: Callable[[], AgentSettings] | None = None) -> None:
        self._read = read
        self._read_at = time.monotonic() - _PAUSE_SECONDS
        self.admin = KnownTokens(settings.admin_names, self.refresh)
        self.callers = KnownTokens(settings.a2a_callers, self.refresh)
        self.registry_token = settings.registry_token.get_secret_value()

    def refresh(self) -> None:
        """Read the tokens again, unless that was done a moment ago: one was refused."""
        if time.monotonic() - self._read_at >= _PAUSE_SECONDS:
            self.read_again()

    def read_again(self) -> None:
        """Read the tokens again. Settings that cannot be read, or would let everybody in, change nothing."""
        self._read_at = time.monotonic()
        if self._read is None:
            return
        try:
            settings = self._read()
        except BadSetting as error:
            logger.warning("rereading tokens failed: %s", error)
            return
        hide(settings.secrets)
        for known, tokens, what in (
            (self.admin, settings.admin_names, "ADMIN_TOKEN"),
            (self.callers, settings.a2a_callers, "A2A_TOKENS"),
        ):
            if bool(known) == bool(tokens):
                known.replace(tokens)
            else:
                logger.warning(
                    "token change ignored setting=%s: whether tokens are asked for is decided at the start",
                    what,
                )
        self.registry_token = settings.registry_token.get_secret_value()
