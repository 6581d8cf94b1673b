"""Everything a running registry holds: who opens it, in which order, and who closes it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from groundwork.http.hosts import OwnHosts
from groundwork.postgres.pool import Pool, check_database
from groundwork.process.background import running
from groundwork.process.loop_watch import LoopWatch
from groundwork.process.repeating import repeat
from groundwork.process.shutdown import ShutdownPeriod
from registry.agents.discovery import open_discovery
from registry.agents.liveness import watching_agents
from registry.agents.probes import probing_agents
from registry.agents.service import Agents
from registry.artifacts.service import Artifacts
from registry.audit.refusals import FLUSH_SECONDS
from registry.audit.service import HEADS_SECONDS, Audit
from registry.components.service import Components
from registry.cron.service import CronJobs
from registry.data import describe_database
from registry.database import check_database_ready, open_registry_pool, prepare_database
from registry.decisions.service import DELIVER_SECONDS, PURGE_SECONDS, Decisions
from registry.did.document import build_did
from registry.engine.worker import open_worker
from registry.erasures.service import WORK_SECONDS, Erasures
from registry.events.stream import EventStreams
from registry.executions.service import Executions
from registry.gateway.service import Gateway, open_gateway
from registry.keys.service import Keys
from registry.metrics import RegistryMetrics
from registry.outbound.clients import open_outbound
from registry.outbound.secrets import AgentTokens
from registry.queue.backlog import watching_backlog
from registry.queue.jobs import Jobs
from registry.repeats.store import PRUNE_SECONDS, delete_old_keys
from registry.retention.service import OldRows
from registry.sessions.service import Sessions
from registry.settings import RegistrySettings
from registry.talks.service import Talks
from registry.tenants.service import Tenants
from registry.tokens.service import Tokens
from registry.usage.service import UsageSums
from registry.work_items.service import WorkItems
from registry.workers.service import Workers
from registry.workflows.service import Workflows


@dataclass(frozen=True)
class Registry:
    """One running registry process. Any number of them work on one database; each sees what the others do."""

    settings: RegistrySettings
    public_url: str
    database: str
    """Where the data is, in words."""
    pool: Pool
    own_hosts: OwnHosts
    agents: Agents
    artifacts: Artifacts
    audit: Audit
    components: Components
    cron_jobs: CronJobs
    decisions: Decisions
    erasures: Erasures
    events: EventStreams
    executions: Executions
    gateway: Gateway
    keys: Keys
    sessions: Sessions
    talks: Talks
    tenants: Tenants
    tokens: Tokens
    usage: UsageSums
    workers: Workers
    workflows: Workflows
    work_items: WorkItems
    metrics: RegistryMetrics
    grace: ShutdownPeriod

    async def check_ready(self) -> None:
        """Raises `DatabaseUnavailable` when the registry could not answer now."""
        await check_database(self.pool)

    def begin_to_stop(self) -> None:
        """To be called before open requests are waited for: whoever follows an execution would not go so soon."""
        self.grace.begin()
        self.events.stop()


@asynccontextmanager
async def open_registry(
    settings: RegistrySettings,
    *,
    public_url: str = "",
    migrate: bool = True,
    worker: bool = True,
    database: Awaitable[str] | None = None,
    agent_tokens: AgentTokens | None = None,
) -> AsyncIterator[Registry]:
    """Opens a registry, and closes it in reverse: its loops end first, the database goes last.

    `public_url` is where others reach it, when that is not what the settings say. With a `worker` the process also
    runs executions. `database` is that of `open_registry_pool`, `agent_tokens` those of `open_worker`.
    Raises `DatabaseNotReachable`, `EmbeddedPostgresFailed`, `SchemaLockTimeout`, `SchemaNotReady`, `SchemaTooNew`.
    """
    metrics = RegistryMetrics()
    grace = ShutdownPeriod(settings.shutdown_grace_seconds)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_registry_pool(settings, "registry", database))
        if migrate:
            await prepare_database(pool)
        else:
            await check_database_ready(pool, settings)
        metrics.watch_pool(pool)
        jobs = Jobs()
        jobs.tell_waits(metrics.job_taken)
        await jobs.open(pool)
        discovery = await stack.enter_async_context(open_discovery(settings))
        await stack.enter_async_context(watching_agents(pool, settings, metrics))
        await stack.enter_async_context(watching_backlog(pool, metrics))
        await stack.enter_async_context(probing_agents(pool, discovery, settings))
        agent_tokens = agent_tokens or AgentTokens(settings.agent_tokens)
        outbound = await stack.enter_async_context(open_outbound(settings, agent_tokens))
        if worker:
            watch = LoopWatch()
            metrics.watch_loop(watch)
            await stack.enter_async_context(open_worker(settings, pool, jobs, grace, agent_tokens, watch))
        keys = Keys(pool)
        issuer = build_did(public_url or settings.public_url)
        gateway = await stack.enter_async_context(open_gateway(settings, pool, keys, issuer))
        executions, audit, tokens = Executions(pool, jobs), Audit(pool), Tokens(pool)
        flushing = partial(repeat, audit.refusals.flush, FLUSH_SECONDS, "counting refused writes")
        await stack.enter_async_context(running("audit-refusals", flushing))
        logging_heads = partial(repeat, audit.log_heads, HEADS_SECONDS, "logging audit heads")
        await stack.enter_async_context(running("audit-heads", logging_heads))
        erasures = Erasures(pool)
        working = partial(repeat, erasures.work, WORK_SECONDS, "erasing executions")
        await stack.enter_async_context(running("erasures", working))
        for name, sweep in _retention(settings, pool, metrics):
            await stack.enter_async_context(running(name, sweep))
        forgetting = partial(
            repeat, partial(delete_old_keys, pool, settings.idempotency_hours), PRUNE_SECONDS, "removing old keys"
        )
        await stack.enter_async_context(running("request-keys", forgetting))
        decisions = Decisions(pool, executions, gateway)
        delivering = partial(repeat, decisions.deliver_all, DELIVER_SECONDS, "delivering decisions")
        await stack.enter_async_context(running("decisions-deliver", delivering))
        purging = partial(repeat, decisions.purge, PURGE_SECONDS, "purging closed questions")
        await stack.enter_async_context(running("decisions-purge", purging))
        yield Registry(
            settings=settings,
            public_url=public_url or settings.public_url,
            database=describe_database(settings),
            pool=pool,
            own_hosts=OwnHosts(),
            agents=Agents(pool, settings, discovery, metrics),
            artifacts=Artifacts(pool),
            audit=audit,
            components=Components(pool),
            cron_jobs=CronJobs(pool),
            decisions=decisions,
            erasures=erasures,
            events=EventStreams(executions),
            executions=executions,
            gateway=gateway,
            keys=keys,
            talks=Talks(pool, outbound),
            tenants=Tenants(pool),
            sessions=Sessions(pool, tokens),
            tokens=tokens,
            usage=UsageSums(pool),
            workers=Workers(pool),
            workflows=Workflows(pool),
            work_items=WorkItems(pool, jobs),
            metrics=metrics,
            grace=grace,
        )


def _retention(
    settings: RegistrySettings, pool: Pool, metrics: RegistryMetrics
) -> Iterator[tuple[str, Callable[[], Coroutine[None, None, None]]]]:
    """The sweeps that the settings ask for, by name."""
    executions, artifacts = settings.execution_retention_days, settings.artifact_retention_days
    old_rows = OldRows(pool, executions * 86_400, artifacts * 86_400, removed=metrics.old_rows_removed)
    if executions:
        yield "old-executions", partial(old_rows.sweep, "executions")
    if artifacts:
        yield "old-artifacts", partial(old_rows.sweep, "artifacts")
