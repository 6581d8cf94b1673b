"""Bringing the live snapshot to what the registry says: built beside it, swapped in one step."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg

from agent_runtime.components import store
from agent_runtime.components.contents import ComponentUnusable, ContentReader
from agent_runtime.components.live import LiveSnapshot
from agent_runtime.components.parts import Parts
from agent_runtime.components.snapshot import Part, Piece, Snapshot, describe_ref
from agent_runtime.components.store import StoredComponent
from agent_runtime.errors import RegistryNotConfigured, RegistryRuntimeUnavailable
from agent_runtime.metrics import AgentMetrics
from agent_runtime.project.file import Project
from agent_runtime.project.slots import Slot
from agent_runtime.registry_link.client import FoundComponent, RegistryClient, WantedComponent
from agent_runtime.registry_link.errors import RegistryError
from agent_runtime.tools.connection_state import Timing
from groundwork.postgres.pool import DatabaseUnavailable, Pool, transaction

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Following:
    """How an agent follows its registry: whether by itself, and how long at most it puts off what it has heard of,
    so that many agents do not come at once."""

    by_itself: bool
    jitter_seconds: float
    retry_seconds: float


@dataclass(frozen=True)
class Reloaded:
    """What a reload has come to. `failed` are as before, and their errors say why."""

    generation: int
    previous_generation: int
    reloaded: list[Piece]
    unchanged: list[Piece]
    failed: list[Piece]


class Reloads:
    """Reloads one after the other, never two at once; when asked, and by itself while `run` runs.

    Whoever is in `on_change` is called when the references have become others.
    """

    def __init__(
        self,
        live: LiveSnapshot,
        parts: Parts,
        contents: ContentReader,
        project: Project,
        agent_id: str,
        pool: Pool,
        registry: RegistryClient | None,
        following: Following,
        metrics: AgentMetrics,
    ) -> None:
        self._live = live
        self._parts = parts
        self._contents = contents
        self._project = project
        self._agent_id = agent_id
        self._pool = pool
        self._registry = registry
        self._following = following
        self._metrics = metrics
        self._timing = Timing(longest_retry_seconds=following.retry_seconds)
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._first_attempt = asyncio.Event()
        self._told: int | None = None  # the registry's generation, as a heartbeat has told it
        self._loaded: int | None = None  # the one that was loaded last
        self._failures = 0
        self._problem: str | None = None
        self.on_change: list[Callable[[], None]] = []

    @property
    def have_registry(self) -> bool:
        return self._registry is not None

    async def reload(self) -> Reloaded:
        """Fetches what has changed and puts it to use.

        Raises `RegistryNotConfigured` and `RegistryRuntimeUnavailable`; then everything is as it was.
        """
        if self._registry is None:
            raise RegistryNotConfigured
        async with self._lock:
            try:
                return await self._reload(self._registry)
            except RegistryError as error:
                self._metrics.reloaded("unavailable")
                raise RegistryRuntimeUnavailable(str(error)) from error

    def told(self, generation: int) -> None:
        """The registry has this generation of components now."""
        if generation != self._told:
            self._told = generation
            self._wake.set()

    async def settled(self) -> None:
        """Returns when the first attempt to load is over."""
        await self._first_attempt.wait()

    async def run(self) -> None:
        """Loads what the project takes from the registry, then follows it, and tries again what has failed."""
        while True:
            await self._attempt()
            self._first_attempt.set()
            while not self._is_due():
                self._wake.clear()
                await self._wake.wait()
            if self._failures:
                await self._pause(self._timing.retry_after(self._failures))
            if self._is_behind:
                await asyncio.sleep(random.uniform(0, self._following.jitter_seconds))  # noqa: S311 - jitter

    @property
    def _is_behind(self) -> bool:
        return self._loaded is not None and self._told not in (None, self._loaded)

    def _is_due(self) -> bool:
        if self._loaded is None:
            return True
        return self._following.by_itself and (self._failures > 0 or self._is_behind)

    async def _pause(self, seconds: float) -> None:
        """Ends early when the registry has something new."""
        told = self._told
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._told == told:
                    self._wake.clear()
                    await self._wake.wait()

    async def _attempt(self) -> None:
        try:
            result = await self.reload()
        except RegistryRuntimeUnavailable as error:
            self._failures += 1
            self._report(str(error))
        except Exception:  # a bug in one reload must not be the last of them
            self._failures += 1
            logger.exception("component reload crashed, retrying")
        else:
            self._failures = self._failures + 1 if result.failed else 0
            self._report(None)

    def _report(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            logger.warning("component reload failed, the snapshot before stays in use: %s", problem)
        self._problem = problem

    async def _reload(self, registry: RegistryClient) -> Reloaded:
        before = self._live.current
        refs = before.refs()
        if not refs:
            return Reloaded(before.generation, before.generation, [], [], [])
        told = self._told
        resolution = await registry.resolve([_wanted(ref) for ref in refs])
        self._loaded = resolution.generation
        if self._told == told:  # else a heartbeat has told of something newer meanwhile
            self._told = resolution.generation
        # Read now, so that a value which was added to `.env` is there for whatever names it.
        environment = await asyncio.to_thread(self._project.environment)
        found = resolution.components
        renewed = await asyncio.gather(*map(partial(self._renew, environment), refs, found))
        after = self._put_in_force(before, dict(zip(refs, renewed, strict=True)))
        changed = [one for one, old, new in zip(found, refs, renewed, strict=True) if not new.is_as(old)]
        await self._remember([_stored(one) for one in changed])
        return self._result(before, after)

    async def _renew(self, environment: Mapping[str, str], piece: Piece, found: FoundComponent) -> Piece:
        """The piece as the registry says that it should be, or as it is, with the reason."""
        if not found.found:
            return _without(piece)
        if found.content is None:  # it has the digest that is in force
            return replace(piece, version=found.version, error=None)
        try:
            part = await self._make(piece.slot, found.content, environment)
        except ComponentUnusable as error:
            reason = f"version {found.version}: {error}"
            if reason != piece.error:  # it is tried again, and again
                logger.warning("component refused kind=%s component_id=%s: %s", found.kind, found.id, reason)
            return replace(piece, error=reason)
        return Piece(piece.slot, part, found.version, found.digest)

    async def _make(self, slot: Slot, content: Mapping[str, Any], environment: Mapping[str, str]) -> Part:
        read = await asyncio.to_thread(self._contents.read, slot, content, environment)
        return await self._parts.make_proved(read.spec, read.secrets)

    def _put_in_force(self, before: Snapshot, renewed: Mapping[Piece, Piece]) -> Snapshot:
        after = before.with_pieces(tuple(renewed.get(piece, piece) for piece in before.pieces))
        self._live.swap(after)
        if [*map(describe_ref, before.refs())] != [*map(describe_ref, after.refs())]:
            for listener in self.on_change:
                listener()
        if after.generation != before.generation:
            changed = [new.slot.component_id for old, new in renewed.items() if not new.is_as(old)]
            logger.info(
                "component snapshot changed generation=%d: %s", after.generation, ", ".join(filter(None, changed))
            )
        return after

    async def _remember(self, changed: Sequence[StoredComponent]) -> None:
        """For starts without the registry. Doing without it is no reason to do without the reload."""
        try:
            async with transaction(self._pool) as conn:
                for one in changed:
                    await store.put_component(conn, self._agent_id, one)
        except (DatabaseUnavailable, psycopg.Error) as error:
            logger.warning("storing the component snapshot failed: %s", error)

    def _result(self, before: Snapshot, after: Snapshot) -> Reloaded:
        reloaded, unchanged, failed = [], [], []
        for old, new in zip(before.refs(), after.refs(), strict=True):
            if new.error is not None:
                failed.append(new)
            elif new.is_as(old):
                unchanged.append(new)
            else:
                reloaded.append(new)
        self._metrics.reloaded("failed" if failed else "changed" if reloaded else "unchanged")
        return Reloaded(after.generation, before.generation, reloaded, unchanged, failed)


def _wanted(piece: Piece) -> WantedComponent:
    assert piece.slot.component_id is not None
    return WantedComponent(piece.slot.kind, piece.slot.component_id, piece.digest)


def _stored(found: FoundComponent) -> StoredComponent:
    assert found.version is not None
    assert found.digest is not None
    assert found.content is not None
    return StoredComponent(found.kind, found.id, found.version, found.digest, found.content)


def _without(piece: Piece) -> Piece:
    """The registry has no such component: what the project says itself will do, what was taken from it stays."""
    if piece.version is None and piece.part is not None:
        return replace(piece, error=None)
    return replace(piece, error=f"the registry has no {piece.slot.kind} {piece.slot.component_id!r}")
