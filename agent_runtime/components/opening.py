"""The components of one process: opened with what is known, then kept to what the registry says."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from agent_runtime.components import store
from agent_runtime.components.contents import ComponentUnusable, ContentReader
from agent_runtime.components.live import LiveSnapshot
from agent_runtime.components.parts import Parts
from agent_runtime.components.reload import Following, Reloads
from agent_runtime.components.snapshot import Piece, Snapshot, describe_ref
from agent_runtime.components.store import StoredComponent
from agent_runtime.errors import BadProject
from agent_runtime.metrics import AgentMetrics
from agent_runtime.project.file import Project
from agent_runtime.project.slots import Model, Slot
from agent_runtime.registry_link.client import RegistryClient
from agent_runtime.settings import AgentSettings
from agent_runtime.tools.connections import Connections
from groundwork.postgres.pool import Pool, connection
from groundwork.process.background import running
from groundwork.telemetry.logs import hide

logger = logging.getLogger(__name__)

_LONGEST_JITTER_SECONDS = 30.0


@dataclass(frozen=True)
class Components:
    """What turns work with, and how it changes while they run."""

    live: LiveSnapshot
    reloads: Reloads

    @property
    def have_registry(self) -> bool:
        """Whether there is anybody to reload them from."""
        return self.reloads.have_registry

    @property
    def on_change(self) -> list[Callable[[], None]]:
        """Whoever is in here is called when the references have become others."""
        return self.reloads.on_change

    def told(self, generation: int) -> None:
        """The registry has this generation of components now."""
        self.reloads.told(generation)

    def hold(self) -> AbstractContextManager[Snapshot]:
        """The snapshot for a turn; it stays whole until the block ends."""
        return self.live.hold()

    def status(self) -> dict[str, dict[str, dict[str, Any]]]:
        return self.live.current.status()

    def metadata(self) -> dict[str, Any]:
        """What the agent takes from the registry, and what it has of it."""
        current = self.live.current
        return {"generation": current.generation, "refs": [describe_ref(ref) for ref in current.refs()]}


@asynccontextmanager
async def open_components(
    settings: AgentSettings,
    project: Project,
    *,
    pool: Pool,
    connections: Connections,
    registry: RegistryClient | None,
    metrics: AgentMetrics,
) -> AsyncIterator[Components]:
    """Waits a second at most for what is outside, so that the first turn has its tools and its prompts; whatever
    takes longer comes when it comes. Raises `BadProject` when the project's own model cannot be used."""
    contents = ContentReader(project.directory, commands=settings.component_commands_enabled)
    parts = Parts(connections, hide)
    known = await _known(pool, settings.agent_id or "") if registry is not None else {}
    first = _FirstPieces(settings, project, contents, parts)
    live = LiveSnapshot(Snapshot(1, await first.pieces(known)), connections.close)
    reloads = Reloads(
        live, parts, contents, project, settings.agent_id or "", pool, registry, _following(settings), metrics
    )
    metrics.watch_components(
        lambda: live.current.generation, lambda: sum(ref.status == "failed" for ref in live.current.refs())
    )
    async with AsyncExitStack() as stack:
        awaited = [source.settled() for source in live.current.sources]
        if registry is not None and live.current.refs():
            await stack.enter_async_context(running("components", reloads.run))
            awaited.append(reloads.settled())
        with suppress(TimeoutError):
            async with asyncio.timeout(connections.timing.settle_seconds):
                await asyncio.gather(*awaited)
        yield Components(live, reloads)


class _FirstPieces:
    """What an agent begins with: what it had when it stopped, or what its project says."""

    def __init__(self, settings: AgentSettings, project: Project, contents: ContentReader, parts: Parts) -> None:
        self._model = Model(settings.model, {"base_url": settings.model_base_url})
        self._project = project
        self._contents = contents
        self._parts = parts

    async def pieces(self, known: Mapping[tuple[str, str], StoredComponent]) -> tuple[Piece, ...]:
        found = [await self._piece(slot, known) for slot in self._slots()]
        return tuple(found)

    def _slots(self) -> Iterator[Slot]:
        for slot in self._project.slots:
            yield replace(slot, local=self._model) if slot.kind == "model" else slot

    async def _piece(self, slot: Slot, known: Mapping[tuple[str, str], StoredComponent]) -> Piece:
        stored = known.get((slot.kind, slot.component_id or ""))
        if stored is not None:
            try:
                read = self._contents.read(slot, stored.content, self._project.environment())
                part = await self._parts.make(read.spec, read.secrets)
                return Piece(slot, part, stored.version, stored.digest)
            except ComponentUnusable as error:
                logger.warning(
                    "component no longer usable kind=%s component_id=%s: %s", slot.kind, slot.component_id, error
                )
        if slot.local is None:
            return Piece(slot, None, error="only a registry can say what it is, and none has so far")
        try:
            return Piece(slot, await self._parts.make(slot.local, self._project.secrets))
        except ComponentUnusable as error:
            raise BadProject(str(error)) from error


async def _known(pool: Pool, agent_id: str) -> dict[tuple[str, str], StoredComponent]:
    async with connection(pool) as conn:
        stored: Sequence[StoredComponent] = await store.list_components(conn, agent_id)
    return {(one.kind, one.component_id): one for one in stored}


def _following(settings: AgentSettings) -> Following:
    interval = settings.registry_heartbeat_seconds
    return Following(
        by_itself=settings.registry_auto_reload,
        jitter_seconds=min(interval / 2, _LONGEST_JITTER_SECONDS),
        retry_seconds=max(1.0, interval),
    )
