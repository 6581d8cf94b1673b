"""What can go wrong between an agent and its registry."""

from agent_runtime.errors import AgentError


class RegistryError(AgentError):
    """The registry did not do what it was asked; the message says why, without secrets.

    `kind` stays the same while the cause does, whatever the words.
    """

    @property
    def kind(self) -> str:
        return type(self).__name__


class RegistryUnavailable(RegistryError):
    """No answer, or none that makes sense: it may be better in a moment."""

    @property
    def kind(self) -> str:
        # One cause has many faces: a registry without its database fails, or answers too late, from call to call.
        return RegistryUnavailable.__name__


class RegistryFailed(RegistryUnavailable):
    """The registry answered that it has failed (5xx)."""


class RegistryRefused(RegistryError):
    """The registry is there and will not: asking again helps only after somebody has changed something."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def kind(self) -> str:
        return f"{type(self).__name__} {self.status}"


class AgentForgotten(RegistryRefused):
    """The registry knows no such agent (404)."""


class InstanceExpired(RegistryRefused):
    """The registry knows the agent, and takes this process for dead (410)."""


class NoComponents(RegistryRefused):
    """The registry is one that keeps agents and no components, as JamJet's own is."""
