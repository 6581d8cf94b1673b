"""Sessions of people at the console."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from registry.access import Principal

IDLE = timedelta(hours=8)
"""After how long without a request a session is over."""

LONGEST = timedelta(days=7)
"""After how long it is over in any case."""

MOST_OF_A_TOKEN = 50
"""How many sessions one token may have at a time; a further one ends the oldest."""


@dataclass(frozen=True)
class Session:
    """An open session, as its owner sees it."""

    session_id: str
    browser: str
    created_at: datetime
    last_seen_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class LoggedIn:
    """Whose request it is that carries a session's cookie."""

    session_id: str
    principal: Principal
    token_name: str


@dataclass(frozen=True)
class OpenedSession:
    """A new session, and the only time that what opens it is there in plain text."""

    plaintext: str = field(repr=False)
    principal: Principal
