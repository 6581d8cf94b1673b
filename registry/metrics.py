"""What a registry counts, for Prometheus."""

from collections.abc import Callable, Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from groundwork.postgres.pool import Pool
from groundwork.postgres.pool_metrics import watch_pool
from groundwork.process.loop_watch import LoopWatch
from groundwork.telemetry.watched_metrics import WatchedCounter


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

    def old_rows_removed(self, rows: Mapping[str, int]) -> None:
        for table, count in rows.items():
            self._removed.labels(table).inc(count)

    def set_backlog(self, jobs: int, longest_wait: float) -> None:
        self._jobs.set(jobs)
        self._longest_wait.set(longest_wait)

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
