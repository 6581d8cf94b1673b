"""Keeping one agent process registered: what to tell the registry, and when to tell it again."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from uuid import uuid4

from agent_runtime.live_settings.card_url import CardUrl
from agent_runtime.metrics import AgentMetrics
from agent_runtime.registry_link.client import Registered, RegistryClient
from agent_runtime.registry_link.errors import (
    AgentForgotten,
    InstanceExpired,
    RegistryError,
    RegistryFailed,
    RegistryRefused,
    RegistryUnavailable,
)
from agent_runtime.registry_link.health import HealthWatch
from agent_runtime.registry_link.hold import HELD, Hold
from agent_runtime.registry_link.usage import UsageWatch
from agent_runtime.tools.connection_state import ConnectionState, Timing

logger = logging.getLogger(__name__)

FAREWELL_SECONDS = 2.5

_OUTCOMES: dict[type[RegistryError], str] = {
    AgentForgotten: "forgotten",
    InstanceExpired: "expired",
    RegistryRefused: "refused",
    RegistryUnavailable: "unavailable",
}


class ComponentsNews(Protocol):
    """What a registry and an agent have to tell each other about components."""

    @property
    def on_change(self) -> list[Callable[[], None]]: ...

    def told(self, generation: int) -> None:
        """The registry has this generation of components now."""
        ...

    def metadata(self) -> dict[str, Any]:
        """The agent's generation, and the `refs` to components that it runs with."""
        ...


class Registration:
    """Registers while `run` runs, beats, and takes leave after `leave`. Whatever the registry does, it goes on.

    `incarnation` is this process among those of the same agent.
    """

    def __init__(
        self,
        client: RegistryClient,
        build_card: Callable[[str], dict[str, Any]],
        card_url: CardUrl,
        health: HealthWatch,
        components: ComponentsNews,
        standing: ConnectionState,
        metrics: AgentMetrics,
        heartbeat_seconds: float,
        hold: Hold | None = None,
        admin_url: str = "",
        usage: UsageWatch | None = None,
    ) -> None:
        self._admin_url = admin_url
        self._usage = usage
        self.tenant_id: str | None = None
        self._hold = hold
        self.on_erasures: list[Callable[[], None]] = []
        """Called when the registry says that there is something to erase."""
        self.incarnation = uuid4().hex
        self._client = client
        self._build_card = build_card
        self._card_url = card_url
        self._health = health
        self._components = components
        self._standing = standing
        self._metrics = metrics
        self._interval = heartbeat_seconds
        self._timing = Timing(longest_retry_seconds=max(1.0, heartbeat_seconds))
        self._agent_id: str | None = None  # as the registry calls it, which need not be as we do
        self._registered_url: str | None = None  # what stands on the card that the registry has
        self._reported: dict[str, Any] | None = None  # which components this process was said to run with
        self._to_activate = True
        self._failures = 0
        self._problem: str | None = None
        self._leaving = False
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._left = asyncio.Event()
        card_url.on_change.append(self.wake)
        health.on_change.append(self.wake)
        components.on_change.append(self.wake)

    @property
    def agent_id(self) -> str | None:
        """The id under which the registry knows the agent, once it does."""
        return self._agent_id

    async def run(self) -> None:
        while not self._leaving:
            self._wake.clear()
            pause = await self._attempt()
            self._settled.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
        await self._take_leave()
        self._left.set()

    def wake(self) -> None:
        """There is something to tell the registry before the next heartbeat."""
        self._wake.set()

    def leave(self) -> None:
        """The process stops: nothing more is sent but the farewell, which goes out at once."""
        self._leaving = True
        self._wake.set()

    async def settled(self) -> None:
        """Returns when the first attempt to register is over."""
        await self._settled.wait()

    async def farewell(self) -> None:
        """Leaves, and returns when the registry knows, or could not be told in time."""
        self.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._left.wait()

    async def _attempt(self) -> float:
        """Tells the registry what there is to tell, and returns how long to wait until the next time."""
        began = time.monotonic()
        try:
            await self._tell()
        except RegistryRefused as refused:
            self._failed(refused)
            return self._timing.longest_retry_seconds * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret
        except RegistryUnavailable as away:
            self._failures += 1
            self._failed(away)
            return self._timing.retry_after(self._failures)
        self._succeeded()
        interval = self._interval * random.uniform(0.9, 1)  # noqa: S311 - as above
        return max(0.0, interval - (time.monotonic() - began))

    async def _tell(self) -> None:
        await self._register_or_beat()
        await self._report_components()

    async def _register_or_beat(self) -> None:
        if self._agent_id is None or self._registered_url != self._card_url.url or self._to_activate:
            await self._register()
            return
        try:
            await self._beat(self._agent_id)
        except AgentForgotten:
            logger.info("agent unknown to the registry, registering again")
            self._agent_id, self._to_activate = None, True
            await self._register()
        except InstanceExpired:
            # Not activated again: somebody may have paused the agent meanwhile.
            logger.info("process declared dead by the registry, registering again")
            await self._register()

    async def _register(self) -> None:
        self._registered_url = self._reported = None
        if self._usage is not None:
            self._usage.forgotten()
        url = self._card_url.url
        registered = await self._send_card(url)
        agent_id, created = registered.agent_id, registered.created
        previous, self._agent_id = self._agent_id, agent_id
        if previous is not None and previous != agent_id:
            await self._take_off(previous)
        if registered.status in HELD and not created:
            self._to_activate = False  # somebody wants it so, and a restart is no reason to undo it
        elif created or self._to_activate or agent_id != previous:
            self._to_activate = True
            await self._client.activate(agent_id, self.incarnation)
            self._to_activate = False
            self._become("active")
        self._registered_url = url
        if self._health.failing is not None:
            self.wake()  # to register says nothing of health, so a heartbeat follows at once

    async def _send_card(self, url: str) -> Registered:
        """Register, and return what the registry says of the agent."""
        try:
            registered = await self._client.register(
                self._build_card(url), self.incarnation, self._interval, self._admin_url
            )
        except RegistryFailed:
            # JamJet's own runtime takes a URI once, and fails when it comes again.
            if (known := await self._client.find_agent_id(url)) is None:
                raise
            return Registered(agent_id=known)
        self.tenant_id = registered.tenant_id
        self._heard_of(registered.status, registered.component_generation)
        return registered

    async def _take_off(self, superseded: str) -> None:
        """Where the id comes with the URI, as in JamJet's own runtime, a changed URL leaves an entry behind."""
        try:
            await self._client.deactivate(superseded, self.incarnation)
        except RegistryError as error:
            logger.warning("deregistering the former card URL failed: %s", error)

    async def _beat(self, agent_id: str) -> None:
        usage = self._usage.news() if self._usage is not None else ()
        try:
            drained = self._hold is not None and self._hold.is_drained
            beaten = await self._client.beat(
                agent_id, self.incarnation, self._interval, self._health.failing, drained=drained, usage=usage
            )
        except RegistryError as error:
            self._metrics.heartbeat_sent(
                next(_OUTCOMES[kind] for kind in type(error).__mro__ if kind in _OUTCOMES)
            )
            raise
        self._metrics.heartbeat_sent("ok")
        if self._usage is not None:
            self._usage.told(usage)
        self._heard_of(beaten.status, beaten.component_generation)
        if beaten.erasures:
            for tell in self.on_erasures:
                tell()

    def _heard_of(self, status: str | None, generation: int | None) -> None:
        if status is not None:
            self._become(status)
        if generation is not None:
            self._components.told(generation)

    def _become(self, status: str) -> None:
        if self._hold is not None:
            self._hold.become(status)

    async def _report_components(self) -> None:
        """What this process runs with, when that is another thing than the registry was told."""
        metadata = self._components.metadata()
        if self._agent_id is None or not metadata["refs"] or metadata == self._reported:
            return
        try:
            await self._client.report_components(
                self._agent_id, self.incarnation, metadata["generation"], metadata["refs"]
            )
        except RegistryRefused as refused:  # which is no reason to register again
            logger.info("component state not reported: %s", refused)
        self._reported = metadata

    def _succeeded(self) -> None:
        if self._standing.status != "connected":
            logger.info("agent registered agent_id=%s", self._agent_id)
        self._failures = 0
        self._problem = None
        self._standing.connected()

    def _failed(self, error: RegistryError) -> None:
        if error.kind != self._problem:
            self._problem = error.kind
            logger.warning("registry unavailable, serving on and retrying: %s", error)
        self._standing.unavailable(str(error))

    async def _take_leave(self) -> None:
        self._standing.unavailable("the agent has left the registry, it is shutting down")
        if self._agent_id is None:
            return
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._client.deactivate(self._agent_id, self.incarnation)
        except (RegistryError, TimeoutError) as error:
            logger.warning("deregistering failed: %s", str(error) or "no answer in time")
        else:
            logger.info("agent deregistered")
