"""A turn, and who is told about it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from langchain_core.messages import HumanMessage
from langchain_core.messages.base import message_to_dict
from langchain_core.messages.utils import messages_from_dict

from agent_runtime.turns.outputs import Outcome, Output
from groundwork.postgres import Connection
from groundwork.tracing import Origin, origin


@dataclass(frozen=True)
class TurnRequest:
    """A message on its way into a thread. `message_id` is the sender's name for it; `answers` says that it
    continues a task that waits for input instead of opening a new one."""

    thread_id: str
    task_id: str
    caller: str
    message_id: str
    message: HumanMessage
    answers: bool = False
    origin: Origin = field(default_factory=origin)
    """The request that it began with."""

    def to_bytes(self) -> bytes:
        """For the turn's row, so that another process can run it."""
        content = {
            "caller": self.caller,
            "message_id": self.message_id,
            "message": message_to_dict(self.message),
            "answers": self.answers,
            "origin": dict(self.origin),
        }
        return json.dumps(content).encode()

    @classmethod
    def from_bytes(cls, data: bytes, thread_id: str, task_id: str) -> "TurnRequest":
        content = json.loads(data)
        (message,) = messages_from_dict([content["message"]])
        if not isinstance(message, HumanMessage):
            raise TypeError(f"a turn begins with a human message, not {type(message).__name__}")
        return cls(
            thread_id,
            task_id,
            content["caller"],
            content["message_id"],
            message,
            answers=content["answers"],
            origin=content.get("origin", {}),
        )


@dataclass(frozen=True)
class Turn:
    """A turn as this process holds it. `attempt` is its fence: a write under an older one is refused. `answered`
    says that an earlier attempt has stored what the graph made of the answer that this turn brings."""

    turn_id: int
    thread_id: str
    task_id: str
    owner_key: int
    caller: str
    attempt: int
    answered: bool = False


Announce = Callable[[], None]
"""Tells the listeners of this process; called once the transaction has been committed."""


class TurnRecorder(Protocol):
    """Keeps the account of turns that callers see. Every method runs inside the transaction of the turn's own
    change, on `conn`, and returns what to announce after the commit."""

    async def accepted(self, conn: Connection, turn: Turn, request: TurnRequest, *, queued: bool) -> Announce:
        """The turn has a place in the queue of its thread. Raises `ThreadWaitsForInput` when a task of the
        thread waits for input and the request does not name it; the turn is then not accepted."""
        ...

    async def started(self, conn: Connection, turn: Turn) -> Announce:
        """A queued turn runs now. Raises `ThreadWaitsForInput` when the turn before it left a task waiting."""
        ...

    async def progressed(self, conn: Connection, turn: Turn, outputs: Sequence[Output]) -> Announce:
        """The turn produced something."""
        ...

    async def ended(self, conn: Connection, turn: Turn, outcome: Outcome) -> Announce:
        """The turn is over."""
        ...

    async def cancelled(self, conn: Connection, turn: Turn) -> Announce:
        """The turn was cancelled by its caller, while it ran or waited in the queue."""
        ...
