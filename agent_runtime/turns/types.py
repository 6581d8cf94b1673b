"""A turn, and who is told about it."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from langchain_core.messages import HumanMessage
from langchain_core.messages.base import message_to_dict
from langchain_core.messages.utils import messages_from_dict
from psycopg.rows import DictRow

from agent_runtime.graph.outputs import Outcome, Output
from agent_runtime.turns.graph_call import GraphCall
from agent_runtime.turns.once import MessageKey
from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.pool import Connection
from groundwork.telemetry.tracing import Origin, origin


class LatestCheckpoint:
    """The checkpoint that a turn goes on from, as LangGraph's saver reads it, but for the names of thread and
    namespace; `None` when nothing is stored of the thread. It may be large, so it is handed out once."""

    def __init__(self, row: DictRow | None) -> None:
        self._row = row
        self.is_here = True

    def take(self) -> DictRow | None:
        row, self._row, self.is_here = self._row, None, False
        return row


@dataclass(frozen=True)
class Turn:
    """A turn as this process holds it. `attempt` is its fence: a write under an older one is refused. `answered`
    says that an earlier attempt has stored what the graph made of the answer that this turn brings. `runs` is how
    often a process has begun to run it. `is_call` says that its request is a call of the graph, see `GraphCall`.
    `latest` is what was there when the turn began, where that was found out with its acceptance."""

    turn_id: int
    thread_id: str
    task_id: str
    owner_key: int
    caller: str
    attempt: int
    answered: bool = False
    runs: int = 0
    is_call: bool = False
    latest: LatestCheckpoint | None = field(default=None, repr=False, compare=False)


@dataclass
class TurnRows(CheckpointRows):
    """What a turn's run adds to LangGraph's tables. `takes_answer`: it cannot have come about without the answer
    that the turn brings."""

    takes_answer: bool = False


@dataclass(frozen=True)
class TurnRequest:
    """A message on its way into a thread. `message_id` is the sender's name for it; `answers` says that it
    continues a task that waits for input instead of opening a new one. `values` are the fields of the graph's
    input that the message gives, and `metadata` is what it says about the call; both are JSON."""

    thread_id: str
    task_id: str
    caller: str
    message_id: str
    message: HumanMessage
    answers: bool = False
    origin: Origin = field(default_factory=origin)
    """The request that it began with."""
    values: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    call: GraphCall | None = None
    """What the graph is called with in place of the message, which then only says so to readers of the task."""
    once: MessageKey | None = None
    """Under which it may have been sent before."""
    graph_id: str = ""
    """The name of the graph that it is for; empty: of the one that answers in the thread."""

    def as_turn(self, turn_id: int, owner_key: int, attempt: int, latest: LatestCheckpoint | None = None) -> Turn:
        """The turn that this has become."""
        return Turn(
            turn_id,
            self.thread_id,
            self.task_id,
            owner_key,
            self.caller,
            attempt,
            is_call=self.call is not None,
            latest=latest,
        )

    def to_bytes(self) -> bytes:
        """For the turn's row, so that another process can run it."""
        content = {
            "caller": self.caller,
            "message_id": self.message_id,
            "message": message_to_dict(self.message),
            "answers": self.answers,
            "origin": dict(self.origin),
            "values": self.values,
            "metadata": self.metadata,
            "call": self.call and self.call.to_json(),
            "graph_id": self.graph_id,
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
            values=content.get("values", {}),
            metadata=content.get("metadata", {}),
            call=GraphCall(**call) if (call := content.get("call")) else None,
            graph_id=content.get("graph_id", ""),
        )


@dataclass(frozen=True)
class HeldTurn:
    """A turn that this process has to bring to an end; without a request it can only be failed."""

    turn: Turn
    request: TurnRequest | None
    since: float = field(default_factory=time.monotonic)


Announce = Callable[[], None]
"""Tells the listeners of this process; called once what is told has been committed."""


@dataclass(frozen=True)
class Accepted:
    """A turn that has its place in the queue of its thread, and, when nothing stands before it, runs now.
    `summary` is the thread's long-term summary."""

    turn: Turn
    queued: bool
    summary: str | None
    announce: Announce


class TurnRecorder(Protocol):
    """Keeps the account of turns that callers see. A turn's change and the account of it are one transaction: the
    methods that say so are called inside one, on `conn`, and the others are one. They return what to announce
    after the commit. `accept`, unless the request answers, and `ended` may be called twice: when a connection
    breaks, nobody knows whether the first call was carried out. If it was, the second is refused."""

    async def accept(self, conn: Connection, agent_id: str, process_id: UUID, request: TurnRequest) -> Accepted:
        """Makes the thread the agent's, and gives the request its place in the queue of the thread.

        Raises `AlreadyAccepted` and `KeyOfAnotherMessage` for a message that was sent before,
        `ThreadNotOurs`, `ThreadOfAnotherCaller`, and `ThreadWaitsForInput` when a task of the thread waits
        for input and the request does not name it; the turn is then not accepted.
        """
        ...

    async def started(self, conn: Connection, turn: Turn) -> Announce:
        """In a transaction: a queued turn runs now. Raises `ThreadWaitsForInput` when the turn before it left a
        task waiting."""
        ...

    async def progressed(self, conn: Connection, turn: Turn, outputs: Sequence[Output]) -> Announce:
        """The turn produced something. Raises `TurnSuperseded`."""
        ...

    async def ended(
        self,
        conn: Connection,
        turn: Turn,
        outcome: Outcome,
        outputs: Sequence[Output],
        unsaved: CheckpointRows | None,
        report: str,
    ) -> Announce:
        """The turn is over: it has produced the last outputs, its last checkpoints are stored, it leaves the
        queue, and its record is kept, of which `report` says the rest, as JSON. Raises `TurnSuperseded`."""
        ...

    async def cancelled(self, conn: Connection, turn: Turn) -> Announce:
        """In a transaction: the turn was cancelled by its caller, while it ran or waited in the queue."""
        ...
