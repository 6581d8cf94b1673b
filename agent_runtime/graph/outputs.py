"""What a turn can produce, in the agent's own words; `a2a_server` says the same in A2A's."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Data:
    """A JSON value."""

    value: Any


@dataclass(frozen=True)
class File:
    """A file by its bytes or by its URL; exactly one of the two."""

    name: str = ""
    media_type: str = "application/octet-stream"
    content: bytes | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if (self.content is None) == (self.url is None):
            raise ValueError("a file has either content or a url")


Part = Text | Data | File


@dataclass(frozen=True)
class Artifact:
    """A named result, whole or in chunks: `append` adds to the chunks before, `last` says none follows."""

    artifact_id: str
    name: str
    parts: tuple[Part, ...]
    append: bool = False
    last: bool = True
    description: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ToolCalled:
    """The model asked for a tool."""

    call_id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class ToolAnswered:
    """The tool answered, or failed."""

    call_id: str
    name: str
    failed: bool


@dataclass(frozen=True)
class CustomEvent:
    """Anything else that a node or a tool wrote to LangGraph's stream writer."""

    value: Any


@dataclass(frozen=True)
class StreamFrame:
    """What LangGraph's clients are streamed: an event's name, and its data as JSON in one line."""

    event: str
    data: str


Output = Artifact | ToolCalled | ToolAnswered | CustomEvent | StreamFrame


@dataclass(frozen=True)
class Completed:
    """The graph ran to its end; what it produced was put out before."""


@dataclass(frozen=True)
class Replied:
    """The graph answered with one bare message, and no task is needed to keep it."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class NeedsInput:
    """The graph interrupted and waits for the next message of the task; `question` is what it asks."""

    question: tuple[Part, ...]


@dataclass(frozen=True)
class Rejected:
    """The agent does not take the message on."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """The turn could not be finished; `reason` may be shown to the caller, and so may `kind`, the class of the
    error that ended it, where there was one."""

    reason: str
    kind: str = ""


Outcome = Completed | Replied | NeedsInput | Rejected | Failed
