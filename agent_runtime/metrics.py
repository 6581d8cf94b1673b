"""What an agent counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agent_runtime.turns.outputs import Completed, Failed, NeedsInput, Outcome, Rejected, Replied
from groundwork.pool_metrics import watch_pool
from groundwork.postgres import Pool

_OUTCOMES: dict[type[Outcome], str] = {
    Completed: "completed",
    Replied: "replied",
    NeedsInput: "input_required",
    Rejected: "rejected",
    Failed: "failed",
}


class AgentMetrics:
    """The agent's own metrics, in a registry of their own so that two agents fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._turns = Counter(
            "agent_turns", "Turns that have ended, by outcome.", ["outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "agent_turn_seconds", "How long turns ran, their wait in a queue apart.", registry=self.registry
        )

        self._heartbeats = Counter(
            "agent_heartbeats", "Heartbeats sent to the registry, by outcome.", ["outcome"], registry=self.registry
        )
        self._reloads = Counter(
            "agent_component_reloads", "Reloads of components, by outcome.", ["outcome"], registry=self.registry
        )

    def turn_ended(self, outcome: Outcome) -> None:
        self._turns.labels(_OUTCOMES[type(outcome)]).inc()

    def turn_ran(self, seconds: float) -> None:
        """A turn ran for so long in this process, whether it has ended or goes on elsewhere."""
        self._seconds.observe(seconds)

    def heartbeat_sent(self, outcome: str) -> None:
        self._heartbeats.labels(outcome).inc()

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

    def watch_turns(self, in_flight: Callable[[], float]) -> None:
        gauge = Gauge("agent_turns_in_flight", "Turns running or queued in this process.", registry=self.registry)
        gauge.set_function(in_flight)

    def watch_pool(self, pool: Pool) -> None:
        watch_pool(pool, "agent", self.registry)
