"""What is said of an agent's storage, as JSON."""

from typing import Any

from agent_runtime.storage.models import Forecast, StorageReport


def describe_report(report: StorageReport) -> dict[str, Any]:
    """Return bytes and rows by table, the largest first, and the largest threads."""
    return {
        "bytes": report.bytes,
        "tables": {table.name: {"rows": table.rows, "bytes": table.bytes} for table in report.tables},
        "largest_threads": [
            {"thread_id": thread.thread_id, "bytes": thread.bytes} for thread in report.largest_threads
        ],
        "sampled": report.sampled,
    }


def describe_forecast(forecast: Forecast) -> dict[str, Any]:
    """Return what each table is and comes to, and the sums."""
    then = f"in_{forecast.days}_days"
    tables = {
        table.size.name: {
            "rows": table.size.rows,
            "bytes": table.size.bytes,
            "rows_per_day": round(table.rows_per_day, 1),
            "bytes_per_day": table.size.bytes_of(table.rows_per_day),
            f"rows_{then}": table.rows_then,
            f"bytes_{then}": table.bytes_then,
            "removable_rows": table.removable_rows,
            "removable_bytes": table.removable_bytes,
        }
        for table in forecast.tables
    }
    names = next(iter(tables.values()), {})
    return {
        "days": forecast.days,
        "days_observed": round(forecast.days_observed, 1),
        "tables": tables,
        "total": {name: round(sum(sizes[name] for sizes in tables.values()), 1) for name in names},
        "retention": {
            "THREAD_TTL_DAYS": forecast.retention.thread_ttl_days,
            "CHECKPOINT_RETENTION": forecast.retention.checkpoints,
            "TURN_HISTORY_DAYS": forecast.retention.turn_history_days,
            "IDEMPOTENCY_HOURS": forecast.retention.idempotency_hours,
        },
    }
