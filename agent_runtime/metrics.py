"""What an agent counts, for Prometheus."""

import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agent_runtime.graph.outputs import Outcome
from agent_runtime.turns.engine import Turns
from agent_runtime.turns.reports import TurnReport, state_of
from groundwork.postgres.pool import Pool
from groundwork.postgres.pool_metrics import watch_pool
from groundwork.process.loop_watch import LoopWatch
from groundwork.telemetry.watched_metrics import WatchedCounter

States = Mapping[str, Mapping[str, Mapping[str, object]]]


class AgentMetrics:
    """The agent's own metrics, in a registry of their own so that two agents fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._heard_at = time.monotonic()
        self._turns = Counter(
            "agent_turns", "Turns that have ended, by outcome.", ["outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "agent_turn_seconds", "How long turns ran, their wait in a queue apart.", registry=self.registry
        )

        self._waits = Histogram(
            "agent_turn_wait_seconds",
            "How long turns waited for the turns before them in their thread; most do not.",
            registry=self.registry,
        )
        self._requests = Counter(
            "agent_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "agent_request_seconds",
            "How long requests took, streams until their end.",
            ["method", "route"],
            registry=self.registry,
        )

        self._model_calls = Counter(
            "agent_model_calls", "Calls of models by turns.", ["model"], registry=self.registry
        )
        self._tokens = Counter(
            "agent_tokens",
            "Tokens of model calls, by direction: input, cached (input that the provider had cached), output.",
            ["model", "direction"],
            registry=self.registry,
        )
        self._cost = Counter(
            "agent_cost", "What tokens have cost, by the prices in agent.toml.", ["model"], registry=self.registry
        )
        self._tool_calls = Counter("agent_tool_calls", "Calls of tools by turns.", registry=self.registry)
        self._refusals = WatchedCounter(
            "agent_refused", "What was refused because there was too much to do.", "what", registry=self.registry
        )
        self._heartbeats = Counter(
            "agent_heartbeats", "Heartbeats sent to the registry, by outcome.", ["outcome"], registry=self.registry
        )
        self._reloads = Counter(
            "agent_component_reloads", "Reloads of components, by outcome.", ["outcome"], registry=self.registry
        )

        self._pruned = Counter(
            "agent_pruned_rows",
            "Rows of old checkpoints that retention has removed, by table.",
            ["table"],
            registry=self.registry,
        )

        self._old_rows = Counter(
            "agent_old_rows_removed",
            "Rows that were kept for as long as TURN_HISTORY_DAYS and IDEMPOTENCY_HOURS say, by table.",
            ["table"],
            registry=self.registry,
        )

        self._ended_threads = Counter(
            "agent_idle_threads_ended",
            "Threads that were erased because nobody had used them for THREAD_TTL_DAYS.",
            registry=self.registry,
        )

    def watch_refusals(self, what: str, count: Callable[[], float]) -> None:
        self._refusals.watch(what, count)

    def turn_ended(self, outcome: Outcome) -> None:
        self._turns.labels(state_of(outcome)).inc()

    def turn_used(self, report: TurnReport) -> None:
        """Count what a run of a turn has used, whatever became of it."""
        for model, use in report.models().items():
            self._model_calls.labels(model).inc(use.model_calls)
            self._tokens.labels(model, "input").inc(use.input_tokens - use.cached_tokens)
            self._tokens.labels(model, "cached").inc(use.cached_tokens)
            self._tokens.labels(model, "output").inc(use.output_tokens)
            if (cost := report.cost_of(model, use)) is not None:
                self._cost.labels(model).inc(float(cost))
        self._tool_calls.inc(report.tool_calls)

    def turn_waited(self, seconds: float) -> None:
        """A turn begins here, and has waited in this process's queue for so long."""
        self._waits.observe(seconds)

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is the route's pattern, not the path: ids would make a series each."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(method, route).observe(seconds)

    def turn_ran(self, seconds: float) -> None:
        """A turn ran for so long in this process, whether it has ended or goes on elsewhere."""
        self._seconds.observe(seconds)

    def pruned(self, rows: Mapping[str, int]) -> None:
        for table, count in rows.items():
            self._pruned.labels(table).inc(count)

    def old_rows_removed(self, rows: Mapping[str, int]) -> None:
        for table, count in rows.items():
            self._old_rows.labels(table).inc(count)

    def idle_threads_ended(self, threads: int) -> None:
        self._ended_threads.inc(threads)

    def heartbeat_sent(self, outcome: str) -> None:
        self._heartbeats.labels(outcome).inc()
        if outcome == "ok":
            self._heard_at = time.monotonic()

    def reloaded(self, outcome: str) -> None:
        """`changed`, `unchanged`, `failed` (at least one component), or `unavailable` (the registry)."""
        self._reloads.labels(outcome).inc()

    def watch_components(self, generation: Callable[[], float], failed: Callable[[], float]) -> None:
        """The generation in force, and how many components of the registry are not what they should be."""
        gauge = Gauge("agent_component_generation", "The generation of components in use.", registry=self.registry)
        gauge.set_function(generation)
        gauge = Gauge("agent_components_failed", "Components that could not be loaded.", registry=self.registry)
        gauge.set_function(failed)

    def watch_registration(self, registered: Callable[[], bool]) -> None:
        gauge = Gauge("agent_registered", "1 while the registry has this process.", registry=self.registry)
        gauge.set_function(lambda: float(registered()))
        self._watch(
            "agent_heartbeat_age_seconds",
            "How long ago the registry last took a heartbeat, or the process began.",
            lambda: time.monotonic() - self._heard_at,
        )

    def watch_turns(self, turns: Turns) -> None:
        self._watch("agent_turns_in_flight", "Turns running or queued in this process.", lambda: turns.in_flight)
        self._watch("agent_turns_queued", "Turns that wait for the one before them.", lambda: turns.queued)
        self._watch(
            "agent_turns_longest_wait_seconds",
            "How long the first of them has waited.",
            lambda: turns.longest_wait,
        )
        self.watch_refusals("turn", lambda: turns.refused)
        self.watch_refusals("turn_of_one_caller", lambda: turns.refused_to_one)

    def watch_loop(self, watch: LoopWatch) -> None:
        self._watch(
            "agent_event_loop_stalls",
            "How often code of a graph, most likely, has blocked the event loop for a second or more.",
            lambda: watch.stalls,
        )
        self._watch(
            "agent_event_loop_holds",
            "How often something has used the processor for 50 ms or more without letting others run.",
            lambda: watch.holds,
        )
        self._watch("agent_event_loop_stalled_seconds", "For how long altogether.", lambda: watch.stalled_seconds)

    def watch_connections(self, status: Callable[[], States]) -> None:
        """`status` is asked for the states of MCP servers and peers, under `mcp` and `a2a`."""
        self.registry.register(_ConnectionStates(status))

    def _watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)

    def watch_pool(self, pool: Pool) -> None:
        watch_pool(pool, "agent", self.registry)


class _ConnectionStates(Collector):
    """Which of the agent's connections stand, as `/status` tells it."""

    def __init__(self, status: Callable[[], States]) -> None:
        self._status = status

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "agent_connection_up", "1 while an MCP server or a peer is connected.", labels=["kind", "name"]
        )
        for kind, states in self._status().items():
            for name, state in states.items():
                family.add_metric([kind, name], float(bool(state.get("connected"))))
        yield family
