"""What a registry counts, for Prometheus."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from groundwork.postgres.pool import Pool
from groundwork.postgres.pool_metrics import watch_pool
from groundwork.process.loop_watch import LoopWatch
from groundwork.telemetry.watched_metrics import WatchedCounter

MOST_QUEUES = 50
"""How many queues are told apart."""

_WAIT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Backlog(NamedTuple):
    """Jobs of a queue that nobody has taken, and for how many seconds the first has waited."""

    jobs: int
    longest_wait: float


class RegistryMetrics:
    """The registry's own metrics, in a collector of their own so that two registries fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "registry_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "registry_request_seconds", "How long requests took.", ["method", "route"], registry=self.registry
        )
        self._heartbeats = Counter(
            "registry_heartbeats", "Heartbeats received, by outcome.", ["outcome"], registry=self.registry
        )
        self._agents = Gauge(
            "registry_agents",
            "Agents of all tenants, as they were some seconds ago.",
            ["status", "alive"],
            registry=self.registry,
        )

        self._refusals = WatchedCounter(
            "registry_refused",
            "What was refused because there was too much to do.",
            "what",
            registry=self.registry,
        )

        self._refused_access = Counter(
            "registry_access_refused",
            "Requests without the right to be made: without a known token (unknown), with one that lets nobody in"
            " any more (token), with one of another role (role).",
            ["reason"],
            registry=self.registry,
        )

        self._jobs = Gauge(
            "registry_jobs_waiting", "Jobs that no worker has taken yet, some seconds ago.", registry=self.registry
        )
        self._longest_wait = Gauge(
            "registry_jobs_longest_wait_seconds", "How long the first of them has waited.", registry=self.registry
        )

        self._removed = Counter(
            "registry_old_rows_removed",
            "Rows of executions and artifacts that were kept for as long as the settings say, by table.",
            ["table"],
            registry=self.registry,
        )

        self._queue_jobs = Gauge(
            "registry_queue_jobs_waiting",
            "Jobs that no worker has taken yet, by queue.",
            ["queue"],
            registry=self.registry,
        )
        self._queue_wait = Gauge(
            "registry_queue_longest_wait_seconds",
            "How long the first of a queue has waited.",
            ["queue"],
            registry=self.registry,
        )
        self._waits = Histogram(
            "registry_job_wait_seconds",
            "How long jobs that were taken here had waited since their time had come.",
            ["queue"],
            buckets=_WAIT_BUCKETS,
            registry=self.registry,
        )
        self._queues: set[str] = set()

    def old_rows_removed(self, rows: Mapping[str, int]) -> None:
        for table, count in rows.items():
            self._removed.labels(table).inc(count)

    def set_backlog(self, backlog: Mapping[str, Backlog]) -> None:
        """What waits, by queue; in what is not given, nothing."""
        self._jobs.set(sum(one.jobs for one in backlog.values()))
        self._longest_wait.set(max((one.longest_wait for one in backlog.values()), default=0))
        self._queue_jobs.clear()
        self._queue_wait.clear()
        for queue, one in sorted(backlog.items(), key=lambda named: -named[1].longest_wait)[:MOST_QUEUES]:
            self._queue_jobs.labels(queue).set(one.jobs)
            self._queue_wait.labels(queue).set(one.longest_wait)

    def job_taken(self, queue: str, waited: float) -> None:
        """Workflows name their queues as they like: the first ones have a series each, and the others one."""
        if len(self._queues) < MOST_QUEUES:
            self._queues.add(queue)
        self._waits.labels(queue if queue in self._queues else "(other)").observe(waited)

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is the route's pattern, not the path: ids would make a series each."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def heartbeat_received(self, outcome: Literal["ok", "unknown", "gone"]) -> None:
        self._heartbeats.labels(outcome).inc()

    def access_refused(self, reason: Literal["unknown", "token", "role"]) -> None:
        self._refused_access.labels(reason).inc()

    def set_agents(self, counts: Mapping[tuple[str, bool], int]) -> None:
        """How many agents there are, by status and by whether they are alive; of what is not given, none."""
        self._agents.clear()
        for (status, alive), agents in counts.items():
            self._agents.labels(status, str(alive).lower()).set(agents)

    def watch_refusals(self, count: Callable[[], float]) -> None:
        self._refusals.watch("request", count)

    def watch_loop(self, watch: LoopWatch) -> None:
        Gauge(
            "registry_event_loop_holds",
            "How often something has used the processor for 50 ms or more without letting others run.",
            registry=self.registry,
        ).set_function(lambda: watch.holds)

    def watch_pool(self, pool: Pool) -> None:
        watch_pool(pool, "registry", self.registry)
