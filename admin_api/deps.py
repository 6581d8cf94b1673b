"""What the routes depend on: the agent they administer, and that it has what they ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import Request

from admin_api.errors import MissingThreadId
from agent_runtime.a2a_server.decisions import Decisions
from agent_runtime.components.opening import Components
from agent_runtime.errors import AgentIdRequired, InvalidValue, MemoryDisabled
from agent_runtime.live_settings.card_url import CardUrl
from agent_runtime.live_settings.settings import LiveSettings
from agent_runtime.memory.config import LiveMemoryConfig
from agent_runtime.storage.service import Storage
from agent_runtime.threads.ids import is_thread_id
from agent_runtime.threads.service import Threads
from agent_runtime.turn_records.service import TurnRecords
from groundwork.http.admin_calls import ACTOR, Actor


class AdministeredAgent(Protocol):
    """What the admin API needs of an agent. `AgentRuntime` is one; `MountedAgent` is one for other hosts."""

    @property
    def agent_id(self) -> str | None: ...
    @property
    def memory_enabled(self) -> bool: ...
    @property
    def memory_backend(self) -> str: ...
    @property
    def postgres_dsn(self) -> str:
        """With its password masked."""
        ...

    @property
    def memory(self) -> LiveMemoryConfig: ...
    @property
    def threads(self) -> Threads:
        """Only asked for when there is an agent id and memory is enabled."""
        ...

    @property
    def turn_records(self) -> TurnRecords: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def card_url(self) -> CardUrl: ...
    @property
    def runtime_control_enabled(self) -> bool: ...
    @property
    def live_settings(self) -> LiveSettings:
        """How `memory` and `card_url` are changed."""
        ...

    @property
    def components(self) -> Components | None:
        """What its turns work with; None when they are the host's business."""
        ...

    @property
    def decisions(self) -> Decisions | None:
        """The questions that wait for an answer; None when turns are the host's business."""
        ...

    def connection_status(self) -> Mapping[str, dict[str, dict[str, object]]]:
        """The states of the connections under `mcp` and `a2a`, by name."""
        ...


@dataclass(frozen=True)
class Administration:
    """One mounted admin API: whom it administers, and how large a body it takes."""

    agent: AdministeredAgent
    max_body_bytes: int

    def enter(self, request: Request) -> None:
        request.scope[_SCOPE_KEY] = self


_SCOPE_KEY = "admin_api.administration"


async def get_administration(request: Request) -> Administration:
    entered: Administration = request.scope[_SCOPE_KEY]
    return entered


async def get_agent(request: Request) -> AdministeredAgent:
    return (await get_administration(request)).agent


Agent = Annotated[AdministeredAgent, Depends(get_agent)]


async def get_decisions(agent: Agent) -> Decisions:
    assert agent.decisions is not None, "the routes exist only with them"
    return agent.decisions


async def get_actor(request: Request) -> str:
    """Return who calls: the name of the admin token, the person behind the registry, or `local`."""
    actor: Actor = request.scope[ACTOR]
    return actor.name


async def require_memory(agent: Agent) -> None:
    if not agent.memory_enabled:
        raise MemoryDisabled


@dataclass(frozen=True)
class OwnedThreads:
    """The agent's threads, and the id that makes them its own."""

    agent_id: str
    service: Threads


async def require_threads(agent: Agent, _: Annotated[None, Depends(require_memory)]) -> OwnedThreads:
    if agent.agent_id is None:
        raise AgentIdRequired
    return OwnedThreads(agent.agent_id, agent.threads)


OwnThreads = Annotated[OwnedThreads, Depends(require_threads)]


async def read_thread_id(request: Request) -> str:
    thread_id: str = request.path_params.get("thread_id", "")
    if not thread_id.strip():
        raise MissingThreadId("the thread id is missing; it stands in the path, with a slash written as %2F")
    if not is_thread_id(thread_id):
        raise InvalidValue(
            "thread_id", "thread_id must be 1 to 255 characters of UTF-8, none of them a control character"
        )
    return thread_id


ThreadId = Annotated[str, Depends(read_thread_id)]
