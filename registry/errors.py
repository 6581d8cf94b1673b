"""What can go wrong in the registry, in our words. Only `http_errors.py` knows statuses."""

from collections.abc import Sequence


class RegistryError(Exception):
    """The base of everything the registry raises on purpose."""


class InvalidRequest(RegistryError):
    """Something the caller sent is missing, of the wrong type or out of range; the message names each field and
    what is accepted."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems: Sequence[str] = problems


class NotFound(RegistryError):
    """There is no such thing, or it is another tenant's."""


class Conflict(RegistryError):
    """What is there already does not allow it."""


class AlreadyDecided(Conflict):
    """Somebody else was first: `decided_by` says who, where it is known."""

    def __init__(self, what: str, decided_by: str | None) -> None:
        super().__init__(f"{what} was decided by {decided_by}" if decided_by else f"{what} waits no more")
        self.decided_by = decided_by


class LimitReached(RegistryError):
    """The tenant has as much of something as its limits allow."""


class Gone(RegistryError):
    """It was there, and its time has run out."""


class PayloadTooLarge(RegistryError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than the {limit} bytes that are accepted")


class AgentUnreachable(RegistryError):
    """Another server was to be asked, and gave no answer that can be used."""


class AgentAway(AgentUnreachable):
    """No process of the agent can be reached; nothing was sent."""


class AgentTimedOut(AgentUnreachable):
    """The agent was asked, and gave no answer in time."""


class Unauthenticated(RegistryError):
    """No token, or one that lets nobody in."""

    def __init__(self) -> None:
        super().__init__("invalid or expired token")


class Forbidden(RegistryError):
    """The caller is known, and may not do this."""
