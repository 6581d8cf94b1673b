"""What an agent counts, for Prometheus."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agent_runtime.turns.outputs import Completed, Failed, NeedsInput, Outcome, Rejected, Replied
from groundwork.postgres import Pool

_OUTCOMES: dict[type[Outcome], str] = {
    Completed: "completed",
    Replied: "replied",
    NeedsInput: "input_required",
    Rejected: "rejected",
    Failed: "failed",
}

_POOL_STATS = {
    "pool_size": "Connections the pool has open.",
    "pool_available": "Connections nobody is using.",
    "requests_waiting": "Callers waiting for a connection.",
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

    def turn_ended(self, outcome: Outcome) -> None:
        self._turns.labels(_OUTCOMES[type(outcome)]).inc()

    def turn_ran(self, seconds: float) -> None:
        """A turn ran for so long in this process, whether it has ended or goes on elsewhere."""
        self._seconds.observe(seconds)

    def watch_turns(self, in_flight: Callable[[], float]) -> None:
        gauge = Gauge("agent_turns_in_flight", "Turns running or queued in this process.", registry=self.registry)
        gauge.set_function(in_flight)

    def watch_pool(self, pool: Pool) -> None:
        for name, text in _POOL_STATS.items():
            gauge = Gauge(f"agent_{name}", text, registry=self.registry)
            gauge.set_function(partial(_pool_stat, pool, name))


def _pool_stat(pool: Pool, name: str) -> float:
    return pool.get_stats().get(name, 0)
