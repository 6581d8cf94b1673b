"""What the database of the directory's agent holds: what it comes to, and its backup."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_runtime.command.common import open_pool, read_settings, run_command, say
from groundwork.command import busy
from groundwork.output import AsJson, show

if TYPE_CHECKING:
    from agent_runtime.settings import AgentSettings
    from agent_runtime.storage.models import Retention

data_app = typer.Typer(help="What the agent's database holds.", no_args_is_help=True)

_COLUMNS = (
    "table",
    "rows",
    "bytes",
    "rows_in_30_days",
    "bytes_in_30_days",
    "removable_rows",
    "removable_bytes",
)


@data_app.command()
def forecast(
    thread_ttl_days: Annotated[
        float | None, typer.Option(min=0, help="Instead of THREAD_TTL_DAYS: what it would remove.")
    ] = None,
    checkpoint_retention: Annotated[
        int | None, typer.Option(min=0, help="Instead of CHECKPOINT_RETENTION: what it would remove.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show rows and bytes by table, now and in 30 days, and what retention would remove now."""

    async def work() -> dict[str, Any]:
        from agent_runtime.database import check_database_ready
        from agent_runtime.storage.describe import describe_forecast
        from agent_runtime.storage.service import Storage

        settings = read_settings().named_after(Path.cwd())
        retention = _retention(settings, thread_ttl_days, checkpoint_retention)
        async with open_pool(settings, makes_it=False) as pool:
            await check_database_ready(pool, settings)
            agent_id = settings.agent_id or ""
            with busy("Counting what retention would remove"):
                return {
                    "agent_id": agent_id,
                    **describe_forecast(await Storage(pool, agent_id).forecast(retention)),
                }

    found = run_command(work())
    rows = [{"table": name, **sizes} for name, sizes in found["tables"].items()]
    show(found, [*rows, {"table": "total", **found["total"]}], _COLUMNS, as_json=as_json)
    if not as_json:
        kept = ", ".join(f"{name}={value:g}" for name, value in found["retention"].items())
        say(f"At the rate of the last {found['days_observed']:g} days. Removable by {kept}.")


@data_app.command()
def scrub() -> None:
    """Rewrite the embedded PostgreSQL of this directory, so that what was erased is gone from its files, too."""

    async def work() -> None:
        from agent_runtime.data import open_embedded_database
        from groundwork.postgres.scrub import scrub

        async with open_embedded_database(read_settings(), Path.cwd(), makes_it=False) as dsn:
            with busy("Rewriting every table"):
                await scrub(dsn)

    run_command(work())
    say("Every table and the write-ahead log were written anew.")


def _retention(settings: "AgentSettings", ttl_days: float | None, checkpoints: int | None) -> "Retention":
    from agent_runtime.storage.models import Retention

    return Retention(
        settings.thread_ttl_days if ttl_days is None else ttl_days,
        settings.checkpoint_retention if checkpoints is None else checkpoints,
        settings.turn_history_days,
        settings.idempotency_hours,
    )


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; a file that is there is replaced.")],
) -> None:
    """Back up the embedded PostgreSQL of this directory, while the agent runs or not."""

    async def work() -> int:
        from agent_runtime.data import open_embedded_database
        from groundwork.postgres.backup import back_up

        async with open_embedded_database(read_settings(), Path.cwd(), makes_it=False) as dsn:
            return await back_up(dsn, file)

    say(f"{file}: {run_command(work())} bytes.")


def restore(
    file: Annotated[Path, typer.Argument(help="What `agent-runtime backup` has written.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="In the place of the data that is there, which is gone then.")
    ] = False,
) -> None:
    """Bring a backup back into the embedded PostgreSQL of this directory, in which no agent runs."""

    async def work() -> None:
        from agent_runtime.data import open_embedded_database
        from agent_runtime.database import MIGRATIONS_TABLE
        from groundwork.postgres import backup

        await backup.check_backup(file, MIGRATIONS_TABLE)
        async with open_embedded_database(read_settings(), Path.cwd()) as dsn:
            await backup.restore(dsn, file, marker=MIGRATIONS_TABLE, replace=replace)

    run_command(work())
    say("Restored. `agent-runtime serve` goes on from there.")
