"""What passes between a workflow and an agent, in no protocol's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from registry.outbound.secrets import Credentials


@dataclass(frozen=True)
class AgentPlace:
    """Where an agent is. Its card is at one of `card_urls`, unless it is known already."""

    name: str
    url: str
    card_urls: tuple[str, ...]
    credentials: Credentials = field(default_factory=Credentials)
    card: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class AgentQuestion:
    """`repeated`: it may have been asked before, so a task that came of it is looked for first."""

    text: str
    message_id: str
    context_id: str
    task_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    repeated: bool = False


TalkState = Literal["working", "completed", "input_required", "failed"]


@dataclass(frozen=True)
class Talk:
    """A message to an agent, and what has become of it so far. Without a `task_id` it was answered at once.

    `word` is the agent's own for the state, `note` what it says with it, such as its question or why it failed.
    """

    task_id: str | None
    context_id: str
    state: TalkState
    word: str
    asked: list[str]
    note: str
    text: str
    data: list[Any]
    files: list[Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """`value` is what the agent gave, or, when it wants to know more, its question."""

    state: Literal["completed", "input_required"]
    value: Any
    task_id: str | None
    context_id: str
