"""The one connection between an agent process and its registry: who opens it, and what is shown of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent_runtime.live_settings.card_url import CardUrl
from agent_runtime.metrics import AgentMetrics
from agent_runtime.project.file import Project
from agent_runtime.registry_link.card import build_registry_card
from agent_runtime.registry_link.client import RegistryClient
from agent_runtime.registry_link.erasures import ErasableThreads, ErasureOrders
from agent_runtime.registry_link.health import HealthWatch
from agent_runtime.registry_link.hold import Hold
from agent_runtime.registry_link.questions import OpenQuestions, QuestionReports
from agent_runtime.registry_link.registration import ComponentsNews, Registration
from agent_runtime.registry_link.trust import RegistryTrust, may_fetch_keys
from agent_runtime.registry_link.usage import UsageWatch
from agent_runtime.settings import AgentSettings
from agent_runtime.tools.connection_state import ConnectionState
from agent_runtime.turn_records.service import TurnRecords
from groundwork.outgoing.masking import mask_url
from groundwork.process.background import running

logger = logging.getLogger(__name__)

_NO_AGENT_ID = "AGENT_ID is not set, and an agent is registered by its id"


@dataclass(frozen=True)
class RegistryLink:
    """An agent's registry, by its `url` as it may be shown. Without an AGENT_ID there is no `registration`."""

    url: str
    standing: ConnectionState
    registration: Registration | None
    hold: Hold | None = None
    """Whether the agent takes new turns; None where nobody asks."""

    trust: RegistryTrust | None = None
    """What admits calls of the admin API that come by the registry; None: they are refused."""

    def state(self) -> dict[str, Any]:
        held = self.hold.state() if self.hold else {}
        return self.standing.as_json(url=self.url, **held)

    def leave(self) -> None:
        """The process is told to stop, and tells the registry at once, not when its last turn has ended."""
        if self.registration is not None:
            self.registration.leave()

    async def reached(self, within_seconds: float) -> str:
        """How it stands after the first attempt, in words, waiting for it no longer than that."""
        if self.registration is None:
            return f"not registered: {self.standing.last_error}"
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self.registration.settled()
        if self.standing.status == "connected":
            return f"registered as {self.registration.agent_id}"
        problem = self.standing.last_error or "no answer so far"
        return f"not reached yet: {problem}; the agent serves meanwhile and tries again"


@asynccontextmanager
async def open_registry_link(
    settings: AgentSettings,
    project: Project,
    client: RegistryClient | None,
    *,
    components: ComponentsNews,
    card_url: CardUrl,
    check_ready: Callable[[], Awaitable[None]],
    metrics: AgentMetrics,
    hold: Hold | None = None,
    threads: ErasableThreads | None = None,
    admin_url: str = "",
    records: TurnRecords | None = None,
    questions: OpenQuestions | None = None,
) -> AsyncIterator[RegistryLink | None]:
    """Registers the agent and keeps it registered while the block runs; `None` when there is no registry.

    Never waits for the registry and never raises because of it. At the end a goodbye takes a bounded time, and
    none in a process that is told to stop at once.
    """
    if client is None:
        yield None
        return
    url, standing = mask_url(settings.registry_url), ConnectionState()
    metrics.watch_registration(lambda: standing.status == "connected")
    if settings.agent_id is None:
        logger.warning("agent not registered: %s", _NO_AGENT_ID)
        standing.unavailable(_NO_AGENT_ID)
        yield RegistryLink(url, standing, None)
        return
    card_at = _card_builder(settings, settings.agent_id, project)
    interval = settings.registry_heartbeat_seconds
    health = HealthWatch(check_ready, interval)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running("registry-health", health.watch))
        if hold is not None:
            await hold.recall()
            await stack.enter_async_context(running("registry-status", hold.keep))
        usage = None if records is None else UsageWatch(records, interval)
        if usage is not None:
            await stack.enter_async_context(running("registry-usage", usage.watch))
        registration = Registration(
            client, card_at, card_url, health, components, standing, metrics, interval, hold, admin_url, usage
        )
        if threads is not None:
            orders = ErasureOrders(client, threads, lambda: registration.agent_id)
            registration.on_erasures.append(orders.told)
            await stack.enter_async_context(running("erasure-orders", orders.run))
        if questions is not None:
            reports = QuestionReports(client, questions, lambda: registration.agent_id)
            await stack.enter_async_context(running("question-reports", reports.run))
        await stack.enter_async_context(_kept(registration))
        trust = _trust(settings, client, settings.agent_id, registration, admin_url)
        yield RegistryLink(url, standing, registration, hold, trust)


def _trust(
    settings: AgentSettings, client: RegistryClient, agent_id: str, registration: Registration, admin_url: str
) -> RegistryTrust | None:
    if not settings.trusts_registry or not admin_url:
        return None
    if not may_fetch_keys(settings.registry_url):
        logger.warning(
            "calls by the registry refused: for its keys REGISTRY_URL has to be https, or of this machine"
        )
        return None
    return RegistryTrust(client, agent_id, admin_url, lambda: registration.tenant_id)


def _card_builder(settings: AgentSettings, agent_id: str, project: Project) -> Callable[[str], dict[str, Any]]:
    return partial(
        build_registry_card,
        project.card,
        agent_id,
        bearer=bool(settings.a2a_callers),
        tools_consumed=tuple(project.mcp),
        labels=project.labels,
    )


@asynccontextmanager
async def _kept(registration: Registration) -> AsyncIterator[None]:
    """Registered while the block runs. At its end there is time for a goodbye, unless a cancellation ends it."""

    async def say_goodbye(kind: type[BaseException] | None, *_: object) -> None:
        if kind is not asyncio.CancelledError:
            await registration.farewell()

    async with running("registration", registration.run), AsyncExitStack() as stack:
        stack.push_async_exit(say_goodbye)
        yield
