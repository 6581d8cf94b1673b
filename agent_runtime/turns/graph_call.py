"""A call of a graph as LangGraph's own clients make it: input or command, and how it is to be run and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from langgraph.graph import END
from langgraph.types import Command, Send, StateSnapshot

from agent_runtime.turns.open_calls import close_open_calls

_MESSAGES = "messages"


@dataclass(frozen=True)
class GraphCall:
    """What a run was asked for; all of it is JSON. `command` counts when there is an `input` as well.

    `checkpoint` is where the run begins when that is not the thread's latest one. `stream_modes` say which frames
    are made of the run; with `only_result` it is the state that it ends with, and nothing before.
    """

    input: Any = None
    command: Mapping[str, Any] | None = None
    configurable: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    recursion_limit: int | None = None
    context: Mapping[str, Any] | None = None
    checkpoint: Mapping[str, Any] | None = None
    interrupt_before: Sequence[str] | Literal["*"] = ()
    interrupt_after: Sequence[str] | Literal["*"] = ()
    stream_modes: Sequence[str] = ()
    subgraphs: bool = False
    only_result: bool = False
    durability: Literal["sync", "async", "exit"] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def answers(self) -> bool:
        """Whether it answers what the graph has asked."""
        return self.command is not None and self.command.get("resume") is not None

    @property
    def ends_pause(self) -> bool:
        """Whether it only says that what the graph waits for is not to be done."""
        return self.command is not None and not self.answers and self.command.get("goto") in (END, [END])

    def entry(self, state: StateSnapshot | None) -> Any:
        """Return what the graph is started with in `state`; `None` to go on from there. Tool calls that the state
        leaves open are closed before new messages, because providers refuse such a conversation."""
        if self.command is not None:
            return command_of(self.command)
        if state is None or not isinstance(self.input, dict) or _MESSAGES not in self.input:
            return self.input
        said = self.input[_MESSAGES]
        said = said if isinstance(said, list) else [said]
        brought = {message.get("tool_call_id") for message in said if isinstance(message, dict)}
        closing = [message for message in close_open_calls(state) if message.tool_call_id not in brought]
        return {**self.input, _MESSAGES: [*closing, *said]} if said else self.input


def command_of(given: Mapping[str, Any]) -> Command[Any]:
    """Return LangGraph's command for one in JSON."""
    update, goto = given.get("update"), given.get("goto") or []
    if isinstance(update, list):
        update = [tuple(pair) if isinstance(pair, list) else pair for pair in update]
    targets = goto if isinstance(goto, list) else [goto]
    return Command(
        update=update,
        resume=given.get("resume"),
        goto=[Send(to["node"], to.get("input")) if isinstance(to, Mapping) else to for to in targets],
    )
