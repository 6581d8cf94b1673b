"""How a pool of connections is doing, for Prometheus."""

from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from groundwork.postgres.pool import Pool

_STATS = {
    "pool_size": "Connections the pool has open.",
    "pool_available": "Connections nobody is using.",
    "requests_waiting": "Callers waiting for a connection.",
}


def watch_pool(pool: Pool, prefix: str, registry: CollectorRegistry) -> None:
    """Adds a gauge for each of the pool's figures, named `PREFIX_pool_size` and so on."""
    for name, text in _STATS.items():
        gauge = Gauge(f"{prefix}_{name}", text, registry=registry)
        gauge.set_function(partial(_stat, pool, name))


def _stat(pool: Pool, name: str) -> float:
    return pool.get_stats().get(name, 0)
