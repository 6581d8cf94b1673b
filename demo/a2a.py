"""Talking to an agent with the A2A SDK's own client."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.helpers import new_text_message
from a2a.types import (
    AgentCard,
    GetTaskRequest,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
    TaskStatus,
)

_FINAL = {"completed", "failed", "canceled", "rejected"}


@dataclass(frozen=True)
class Accepted:
    """The agent has taken the message; from now on it will be answered, come what may."""

    task_id: str


@dataclass(frozen=True)
class Words:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True)
class Progress:
    """What the agent does meanwhile, in its own words."""

    text: str


@dataclass(frozen=True)
class Ended:
    """The task has come to its end."""

    state: str


Update = Accepted | Words | Progress | Ended


@dataclass(frozen=True)
class StoredAnswer:
    """A task as the agent keeps it."""

    state: str
    text: str

    @property
    def is_final(self) -> bool:
        return self.state in _FINAL


class Peer:
    """An agent that is reached through its card."""

    def __init__(self, client: Client, card: AgentCard) -> None:
        self._client = client
        self.card = card

    async def send(self, text: str, context_id: str) -> AsyncIterator[Update]:
        """Sends a message and yields what comes back, as it comes. Raises `A2AError` when the stream breaks."""
        message = new_text_message(text, context_id=context_id, role=Role.ROLE_USER)
        async for event in self._client.send_message(SendMessageRequest(message=message)):
            for update in _updates(event):
                yield update

    async def get_task(self, task_id: str) -> StoredAnswer:
        task = await self._client.get_task(GetTaskRequest(id=task_id))
        return StoredAnswer(_state(task.status), _text(task))


@asynccontextmanager
async def open_peer(url: str) -> AsyncIterator[Peer]:
    """The agent at `url`, by the card it shows there. Raises `A2AError`."""
    # The SDK's own default gives up after five seconds.
    async with httpx.AsyncClient(timeout=60) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        yield Peer(ClientFactory(ClientConfig(httpx_client=http, streaming=True)).create(card), card)


def _updates(event: StreamResponse) -> list[Update]:
    if event.HasField("task"):
        return [Accepted(event.task.id)]
    if event.HasField("artifact_update"):
        return [Words(_joined(event.artifact_update.artifact.parts))]
    if event.HasField("status_update"):
        status = event.status_update.status
        said = [Progress(_joined(status.message.parts))] if status.HasField("message") else []
        state = _state(status)
        return [*said, Ended(state)] if state in _FINAL else [*said]
    return []


def _text(task: Task) -> str:
    return "".join(_joined(artifact.parts) for artifact in task.artifacts)


def _joined(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts)


def _state(status: TaskStatus) -> str:
    return TaskState.Name(status.state).removeprefix("TASK_STATE_").lower().replace("_", "-")
