"""Everything a running agent holds: who opens it, in which order, and who closes it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import httpx

from agent_runtime.a2a_server.decisions import Decisions
from agent_runtime.a2a_server.service import A2AServer, open_a2a_server
from agent_runtime.components.opening import Components, open_components
from agent_runtime.data import describe_database, open_database
from agent_runtime.database import check_database_ready, prepare_database
from agent_runtime.graph_runner import GraphRunner, TurnObserver, takes_in_thread
from agent_runtime.langgraph_server.opening import LangGraphServer, open_langgraph_server
from agent_runtime.live_settings.card_url import CardUrl
from agent_runtime.live_settings.secrets import LiveSecrets
from agent_runtime.live_settings.settings import LiveSettings, open_settings
from agent_runtime.memory.config import LiveMemoryConfig
from agent_runtime.memory.graph_store import AgentStore, open_store
from agent_runtime.memory.summaries import Summaries
from agent_runtime.metrics import AgentMetrics
from agent_runtime.project.file import Project
from agent_runtime.project.graph import Graphs, open_graphs
from agent_runtime.project.outbound import REGISTRY_NAME
from agent_runtime.registry_link.client import open_registry_client
from agent_runtime.registry_link.hold import Hold
from agent_runtime.registry_link.link import RegistryLink, open_registry_link
from agent_runtime.registry_link.trust import RegistryTrust
from agent_runtime.retention.idle import IdleThreads
from agent_runtime.retention.service import Retention
from agent_runtime.retention.snapshots import DeltaChannels, Snapshots
from agent_runtime.settings import AgentSettings
from agent_runtime.storage.old_rows import OldRows
from agent_runtime.storage.service import Storage
from agent_runtime.threads.peers import PeerNotes
from agent_runtime.threads.service import Threads
from agent_runtime.tools.connections import open_connections
from agent_runtime.turn_records.budget import open_budget
from agent_runtime.turn_records.service import TurnRecords
from agent_runtime.turns.containment import install_containment
from agent_runtime.turns.conversation_cache import ConversationCache
from agent_runtime.turns.engine import Turns
from agent_runtime.turns.lease import open_lease
from groundwork.outgoing.bounded_http import OpenTransport
from groundwork.outgoing.fetch import CheckingTransport, OutgoingPolicy
from groundwork.postgres.dsn import mask_password
from groundwork.postgres.pool import Pool, check_database, open_pool
from groundwork.process.background import running
from groundwork.process.loop_watch import LoopWatch
from groundwork.process.shutdown import ShutdownPeriod

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AgentRuntime:
    """One running agent. `admin_api` reads and changes it; `a2a_server` brings it its turns."""

    settings: AgentSettings
    project: Project
    database: str
    """Where the data is, in words."""
    pool: Pool
    memory: LiveMemoryConfig
    card_url: CardUrl
    threads: Threads
    turns: Turns
    turn_records: TurnRecords
    live_settings: LiveSettings
    components: Components
    recent: ConversationCache
    summaries: Summaries
    a2a: A2AServer
    langgraph: LangGraphServer | None
    """LangGraph's API; `None` when it is turned off."""
    metrics: AgentMetrics
    registry: RegistryLink | None
    """Whether the agent is registered, and where; `None` when it has no registry."""
    grace: ShutdownPeriod
    secrets: LiveSecrets
    store: AgentStore | None
    """What graphs find as `runtime.store`; `None` where nothing is remembered."""
    graphs: Graphs

    @property
    def agent_id(self) -> str | None:
        return self.settings.agent_id

    @property
    def memory_enabled(self) -> bool:
        return self.settings.memory_enabled

    @property
    def memory_backend(self) -> str:
        return self.settings.memory_backend

    @property
    def postgres_dsn(self) -> str:
        """The configured DSN with its password masked; empty for the embedded server."""
        return mask_password(self.settings.postgres_dsn.get_secret_value())

    @property
    def runtime_control_enabled(self) -> bool:
        return self.settings.internal_runtime_control_enabled

    @property
    def storage(self) -> Storage:
        return Storage(self.pool, self.agent_id or "")

    @property
    def registry_trust(self) -> RegistryTrust | None:
        return self.registry.trust if self.registry else None

    @property
    def decisions(self) -> Decisions:
        return self.a2a.decisions

    def connection_status(self) -> dict[str, dict[str, dict[str, object]]]:
        states = self.components.status()
        if self.registry is not None:
            states["a2a"][REGISTRY_NAME] = self.registry.state()
        return states

    def begin_stop(self) -> None:
        """The process is told to stop: nothing new begins, the registry is told at once, and those who wait for a
        turn are told in time to ask for its task later, before the server cuts their connections."""
        self.grace.begin()
        if self.registry is not None:
            self.registry.leave()
        self.turns.stop_accepting()
        asyncio.get_running_loop().call_later(0.9 * self.grace.seconds, self._close_feeds)

    def _close_feeds(self) -> None:
        self.a2a.feed.close()
        if self.langgraph is not None:
            self.langgraph.close_streams()

    async def check_ready(self) -> None:
        """Raises `DatabaseUnavailable` when the agent could not take a turn now."""
        await check_database(self.pool)


@asynccontextmanager
async def open_runtime(
    settings: AgentSettings,
    project: Project,
    *,
    public_url: str,
    env_file: Path | None = None,
    migrate: bool = True,
    database: Awaitable[str] | None = None,
    read_settings: Callable[[], AgentSettings] | None = None,
    admin_url: str = "",
    observer: TurnObserver | None = None,
) -> AsyncIterator[AgentRuntime]:
    """Opens an agent and closes it in reverse: it leaves its registry, turns are drained, the database goes last.

    `database` is the DSN of one that the caller has opened already, or is opening, and closes later.
    `read_settings` builds the settings anew, for tokens that were exchanged. `admin_url` is where the registry
    reaches the admin API. `observer` sees what turns do.

    Raises `BadProject`, `DatabaseNotReachable`, `EmbeddedPostgresFailed`, `SchemaLockTimeout`, `SchemaNotReady`,
    `SchemaTooNew`.
    """
    install_containment(asyncio.get_running_loop())
    secrets = LiveSecrets(settings, read_settings)
    memory = LiveMemoryConfig(settings.memory)
    card_url = CardUrl(public_url, env_file)
    metrics = AgentMetrics()
    grace = ShutdownPeriod(settings.shutdown_grace_seconds)
    async with AsyncExitStack() as stack:
        graphs = await stack.enter_async_context(open_graphs(project))
        modes = project.card.default_input_modes or graphs.default.inputs.input_modes
        project = replace(project, card=replace(project.card, default_input_modes=modes))
        opened = database or stack.enter_async_context(open_database(settings, project.directory))
        dsn = await opened
        pool = await stack.enter_async_context(
            open_pool(
                dsn,
                name="agent",
                max_size=settings.postgres_pool_size,
                prepare_threshold=settings.prepare_threshold,
                beside=1,  # on which the lease is renewed
            )
        )
        if migrate:
            await prepare_database(pool, project.store_index)
        else:
            await check_database_ready(pool, settings)
        agent_id = settings.agent_id or ""
        watch = LoopWatch(project.directory)
        metrics.watch_loop(watch)
        lease = await stack.enter_async_context(
            open_lease(
                pool,
                agent_id,
                settings.turn_lease_seconds,
                watch=watch,
                longest_seconds=settings.max_turn_seconds,
            )
        )
        live_settings = await stack.enter_async_context(open_settings(pool, settings.agent_id, memory, card_url))
        connections = await stack.enter_async_context(
            open_connections(open_transport=_guarded_transport(settings, project), notes=PeerNotes(pool))
        )
        client = await stack.enter_async_context(open_registry_client(settings, secrets))
        components = await stack.enter_async_context(
            open_components(
                settings, project, pool=pool, connections=connections, registry=client, metrics=metrics
            )
        )
        summaries = Summaries(pool, lambda: components.live.current.model, memory)
        stack.push_async_exit(_draining(summaries, grace))
        a2a = await stack.enter_async_context(open_a2a_server(settings, project, pool, card_url, secrets.callers))
        langgraph: LangGraphServer | None = None
        if settings.langgraph_api:
            langgraph = await stack.enter_async_context(
                open_langgraph_server(settings, pool, a2a.recorder, graphs, secrets.callers, lambda: card_url.url)
            )
        recent = ConversationCache(settings.conversation_cache_mb * 1024 * 1024)
        retention = _retention(settings, graphs, pool, metrics)
        if retention is not None:
            await stack.enter_async_context(running("retention", retention.sweep))
            await stack.enter_async_context(running("retention-look", retention.look))
            stack.push_async_exit(_draining(retention, grace))
        records = TurnRecords(pool, agent_id)
        old_rows = OldRows(
            pool,
            agent_id,
            record_days=settings.turn_history_days,
            key_hours=settings.idempotency_hours,
            removed=metrics.old_rows_removed,
        )
        await stack.enter_async_context(running("old-rows", old_rows.sweep))
        budget = await stack.enter_async_context(open_budget(pool, agent_id, project.budget))
        graph_store = await stack.enter_async_context(
            open_store(pool, settings.agent_id if settings.memory_enabled else None, project.store_index)
        )
        runner = GraphRunner(
            settings,
            project,
            graphs,
            pool,
            memory,
            components,
            recent,
            summaries,
            retention,
            metrics,
            budget,
            graph_store,
            observer,
        )
        turns = Turns(
            pool,
            lease,
            a2a.recorder if langgraph is None else langgraph.recorder,
            runner.run,
            report=runner.report,
            after=runner.after,
            used=runner.used,
            waited=metrics.turn_waited,
            check_budget=budget.check,
            lost=partial(_lose, a2a, langgraph),
            most=settings.max_turns,
            most_of_one=settings.most_of_one_caller,
            longest_seconds=settings.max_turn_seconds,
        )
        a2a.serve(turns, partial(takes_in_thread, pool, graphs))
        metrics.watch_turns(turns)
        metrics.watch_connections(components.status)
        metrics.watch_refusals("a2a", lambda: a2a.load.refused)
        if langgraph is not None:
            lg_load = langgraph.load
            metrics.watch_refusals("langgraph", lambda: lg_load.refused)
        metrics.watch_pool(pool)
        await stack.enter_async_context(running("turn-dispatch", turns.dispatch))
        await stack.enter_async_context(running("turn-sweep", turns.sweep))
        stack.push_async_exit(_draining(turns, grace))
        forget = partial(_forget, turns, recent)
        await stack.enter_async_context(running("peer-erasures", connections.tellers.run))
        tell = connections.tellers.tell
        threads = Threads(pool, agent_id, forget=forget, tell=tell, process_id=lease.process_id)
        if settings.thread_ttl_days and settings.memory_enabled and settings.agent_id is not None:
            idle = IdleThreads(
                pool,
                settings.agent_id,
                settings.thread_ttl_days * 86_400,
                forget=forget,
                ended=lambda erasure: metrics.idle_threads_ended(erasure.threads),
            )
            await stack.enter_async_context(running("idle-threads", idle.sweep))
        if langgraph is not None:
            langgraph.serve(turns, threads, graph_store)
            await stack.enter_async_context(running("langgraph-tidy", partial(langgraph.tidy, threads)))
        registry = await stack.enter_async_context(
            open_registry_link(
                settings,
                project,
                client,
                components=components,
                card_url=card_url,
                check_ready=partial(check_database, pool),
                metrics=metrics,
                hold=Hold(turns, pool, agent_id),
                threads=threads,
                admin_url=admin_url,
                records=records,
                questions=a2a.decisions,
            )
        )
        yield AgentRuntime(
            settings,
            project,
            describe_database(settings),
            pool,
            memory,
            card_url,
            threads,
            turns,
            records,
            live_settings,
            components,
            recent,
            summaries,
            a2a,
            langgraph,
            metrics,
            registry,
            grace,
            secrets,
            graph_store,
            graphs,
        )


class _Drainable(Protocol):
    async def drain(self, seconds: float) -> None: ...


def _draining(work: _Drainable, grace: ShutdownPeriod) -> Callable[..., Awaitable[None]]:
    """An exit that lets work end, unless we are told to stop at once, which arrives as a cancellation."""

    async def drain(kind: type[BaseException] | None, *_: object) -> None:
        await work.drain(0 if kind is asyncio.CancelledError else grace.left())

    return drain


def _lose(a2a: A2AServer, langgraph: LangGraphServer | None, task_id: str) -> None:
    """Those who follow a turn in this process look elsewhere."""
    a2a.turn_lost(task_id)
    if langgraph is not None:
        langgraph.recorder.lost(task_id)


def _forget(turns: Turns, recent: ConversationCache, thread_ids: Sequence[str]) -> None:
    """What this process does for threads that are deleted ends, and then what it remembers of them is gone."""
    turns.forget(thread_ids)
    for thread_id in thread_ids:
        recent.drop(thread_id)


def _retention(settings: AgentSettings, graphs: Graphs, pool: Pool, metrics: AgentMetrics) -> Retention | None:
    """`None` when checkpoints are kept for ever, or there are none that could go."""
    if not settings.checkpoint_retention or not settings.memory_enabled or settings.agent_id is None:
        return None
    deltas = {name: DeltaChannels.of(source.graph, source.serializer) for name, source in graphs.items()}
    snapshots = Snapshots(deltas) if any(each.channels for each in deltas.values()) else None
    return Retention(
        pool, settings.agent_id, settings.checkpoint_retention, pruned=metrics.pruned, snapshots=snapshots
    )


def _guarded_transport(settings: AgentSettings, project: Project) -> OpenTransport | None:
    """With DENY_PRIVATE_NETWORKS, the way to MCP servers and peers. The hosts that `agent.toml` names are the
    operator's own choice and allowed; what they redirect to is not."""
    if not settings.deny_private_networks:
        return None
    urls = [server.url for server in project.mcp.values() if server.url]
    urls += [peer.url for peer in project.peers.values()]
    hosts = tuple(httpx.URL(url).host for url in urls)
    policy = OutgoingPolicy(deny_private_networks=True, allowed_hosts=hosts)
    return lambda: CheckingTransport(policy)
