"""The files that callers and the agent have sent, as a task keeps them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from a2a.types import Part, Role, Task


@dataclass(frozen=True)
class TaskFile:
    """A file with its content, or with the URL that it is at. `sent_by` is `user` or `agent`."""

    sent_by: str
    name: str
    media_type: str
    content: bytes | None = None
    url: str | None = None


def files_of(task: bytes) -> Iterator[TaskFile]:
    """Yield the files of a task as it is stored: those of its messages, and those of its artifacts."""
    read = Task.FromString(task)
    for message in read.history:
        sent_by = "user" if message.role == Role.ROLE_USER else "agent"
        yield from _files_in(message.parts, sent_by)
    yield from _files_in(read.status.message.parts, "agent")
    for artifact in read.artifacts:
        yield from _files_in(artifact.parts, "agent")


def _files_in(parts: Iterable[Part], sent_by: str) -> Iterator[TaskFile]:
    for part in parts:
        match part.WhichOneof("content"):
            case "raw":
                yield TaskFile(sent_by, part.filename, part.media_type, content=part.raw)
            case "url":
                yield TaskFile(sent_by, part.filename, part.media_type, url=part.url)
