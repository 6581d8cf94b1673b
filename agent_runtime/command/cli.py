"""The command `agent-runtime`. Modules that take time to import are imported where they are needed."""

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_runtime.errors import AgentError, BadProject, InvalidValue
from groundwork.command import CANNOT, busy, complain, run, run_with
from groundwork.output import AsJson, show

if TYPE_CHECKING:
    from datetime import datetime

    from agent_runtime.settings import AgentSettings
    from agent_runtime.threads.service import Threads
    from agent_runtime.turn_records.service import TurnRecords

app = typer.Typer(
    help="Run a LangGraph agent and look after its threads.", no_args_is_help=True, add_completion=False
)
threads_app = typer.Typer(help="Threads in the agent's database.", no_args_is_help=True)
app.add_typer(threads_app, name="threads")

PROGRAM = "agent-runtime"

_TURN_COLUMNS = (
    "task_id",
    "thread_id",
    "caller",
    "state",
    "accepted_at",
    "duration_ms",
    "model",
    "input_tokens",
    "output_tokens",
    "cost",
    "why",
)
_USAGE_COLUMNS = ("turns", "failed", "input_tokens", "cached_tokens", "output_tokens", "tool_calls", "cost")


@app.command()
def serve(
    context: typer.Context,
    migrate: Annotated[bool, typer.Option(help="Bring the database schema to this release first.")] = True,
    graph: Annotated[str | None, typer.Option(help="Which of the project's graphs answers A2A.")] = None,
) -> None:
    """Serve the agent of this directory until Ctrl-C."""
    from groundwork.process.garbage import pause_collection

    pause_collection()
    # What the environment itself says wins over `.env` at the next start, so a change written there would be lost.
    env_file = None if "PUBLIC_AGENT_URL" in context.obj else Path.cwd() / ".env"

    def read_again() -> "AgentSettings":
        from agent_runtime.settings import AgentSettings
        from groundwork.process.settings import load_settings, read_env_file

        read_env_file(keep=context.obj)
        return load_settings(AgentSettings)

    _run(_serve(_settings(), env_file, migrate, graph, read_again), serves=True)


@app.command()
def migrate() -> None:
    """Bring the database schema to this release, and do nothing else."""

    async def work() -> None:
        from agent_runtime.database import prepare_database
        from agent_runtime.project.langgraph_json import store_index_of

        async with _pool(_settings(), makes_it=True) as pool:
            await prepare_database(pool, store_index_of(Path.cwd()))
        _say("The schema is up to date.")

    _run(work())


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def with_database(command: Annotated[list[str], typer.Argument(help="What to run, with its arguments.")]) -> None:
    """Run a command, such as pg_restore, while the embedded PostgreSQL of this directory runs."""

    async def work() -> int:
        from agent_runtime.data import open_embedded_database

        async with open_embedded_database(_settings(), Path.cwd()) as dsn:
            return await run_with(dsn, command)

    raise typer.Exit(_run(work()))


@threads_app.command()
def adopt(
    prefix: Annotated[str, typer.Option(help="Only threads whose id begins with this.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, change nothing.")] = False,
) -> None:
    """Claim threads that have checkpoints but no owner: another LangGraph program wrote them."""

    async def work() -> None:
        async with _threads() as threads:
            with busy("Looking for threads without an owner"):
                count = await threads.adopt(prefix, dry_run=dry_run)
        _say(f"{count} threads {'would be adopted' if dry_run else 'adopted'}.")

    _run(work())


@threads_app.command()
def sweep(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, change nothing.")] = False,
) -> None:
    """Remove checkpoint blobs and writes whose thread has neither a checkpoint nor an owner."""

    async def work() -> None:
        async with _threads() as threads:
            with busy("Looking for orphaned rows"):
                counts = await threads.sweep_orphans(dry_run=dry_run)
        for table, count in counts.items():
            _say(f"{table}: {count} orphaned rows {'found' if dry_run else 'removed'}.")

    _run(work())


@threads_app.command()
def check(
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many threads, drawn at random.")] = None,
    graph: Annotated[
        str | None, typer.Option(help="Which of the project's graphs reads threads that name none.")
    ] = None,
) -> None:
    """Load stored threads with the code of this directory, and list what would not load."""

    async def work() -> int:
        from agent_runtime.command.check_threads import ThreadCheck

        found = 0
        async with _threads() as threads:
            checking = ThreadCheck(threads)
            async for problem in checking.run(Path.cwd(), graph, sample):
                found += 1
                _say(f"{problem.thread_id}: step {problem.step}: {problem.what}: {problem.why}")
        _say(f"{checking.checked} threads checked; {found or 'nothing'} would not load.")
        return found

    if _run(work()):
        raise typer.Exit(1)


@app.command()
def turns(
    state: Annotated[str | None, typer.Option(help="Only turns in this state, such as failed.")] = None,
    caller: Annotated[str | None, typer.Option(help="Only turns of this caller.")] = None,
    thread: Annotated[str | None, typer.Option(help="Only turns of this thread.")] = None,
    since: Annotated[str | None, typer.Option(help="A date or a time, such as 2026-12-01.")] = None,
    until: Annotated[str | None, typer.Option(help="A date or a time, not included.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the latest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the agent's turns, and why they failed."""

    async def work() -> list[dict[str, Any]]:
        from agent_runtime.turn_records.describe import describe_turn
        from agent_runtime.turn_records.models import TURN_STATES, RecordFilter

        if state is not None and state not in TURN_STATES:
            raise InvalidValue("state", f"--state must be one of {', '.join(TURN_STATES)}")
        wanted = RecordFilter(state, caller, thread, _time("since", since), _time("until", until))
        async with _records() as records:
            page, _ = await records.list_turns(wanted, limit)
        return [describe_turn(record) for record in page]

    found = _run(work())
    rows = [{**turn, "why": _why(turn["failure"])} for turn in found]
    show({"turns": found}, rows, _TURN_COLUMNS, as_json=as_json)


@app.command()
def usage(
    by: Annotated[str, typer.Option(help="day, model, caller or thread.")] = "day",
    since: Annotated[str | None, typer.Option(help="A date or a time, such as 2026-12-01.")] = None,
    until: Annotated[str | None, typer.Option(help="A date or a time, not included.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many: the last days, or who used most.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Show what turns have used, and what that costs."""

    async def work() -> dict[str, Any]:
        from agent_runtime.turn_records.describe import describe_usage
        from agent_runtime.turn_records.models import RecordFilter, read_group

        wanted = RecordFilter(since=_time("since", since), until=_time("until", until))
        async with _records() as records:
            total, groups = await records.sum_usage(read_group(by), wanted, limit)
        return {"by": by, "total": describe_usage(total), "usage": [describe_usage(group) for group in groups]}

    found = _run(work())
    rows = [{by: group["key"] or "-", **group} for group in found["usage"]] + [{by: "total", **found["total"]}]
    show(found, rows, (by, *_USAGE_COLUMNS), as_json=as_json)


@app.command()
def card() -> None:
    """Fetch the card from the agent's public URL, compare it with this directory, and post to each interface."""
    from agent_runtime.a2a_server.card_check import check_card

    problems = _run(check_card(_settings(), Path.cwd()))
    for problem in problems:
        _complain(problem)
    if problems:
        raise typer.Exit(1)
    _say("The public URL serves this agent's card, and each interface on it answers.")


def main() -> None:
    """Entry point. `.env` comes first: what it sets decides how some libraries behave when imported."""
    from agent_runtime.project.langgraph_json import set_environment
    from groundwork.process.settings import BadSetting, read_env_file

    outer = frozenset(os.environ)
    try:
        read_env_file()
        set_environment(Path.cwd())
    except (BadSetting, BadProject) as error:
        _complain(str(error))
        raise SystemExit(CANNOT) from None
    if not any(name.startswith("OTEL_") for name in os.environ):
        # The A2A SDK traces every call for OpenTelemetry, also where nobody has set it up.
        os.environ["OTEL_INSTRUMENTATION_A2A_SDK_ENABLED"] = "false"
    app(obj=outer)


async def _serve(
    settings: "AgentSettings",
    env_file: Path | None,
    migrate: bool,
    graph: str | None,
    read_settings: Callable[[], "AgentSettings"],
) -> None:
    """The embedded server comes up while the rest is imported."""
    from agent_runtime.data import open_database
    from groundwork.process.overlap import imported, opening

    async with opening(open_database(settings, Path.cwd())) as database:
        server = await imported("agent_runtime.command.serve")
        await server.serve_agent(
            settings,
            Path.cwd(),
            env_file=env_file,
            migrate=migrate,
            database=database,
            graph=graph,
            read_settings=read_settings,
        )


def _settings() -> "AgentSettings":
    from agent_runtime.settings import AgentSettings
    from groundwork.process.settings import BadSetting, load_settings

    try:
        return load_settings(AgentSettings)
    except BadSetting as error:
        _complain(str(error))
        raise typer.Exit(CANNOT) from None


@asynccontextmanager
async def _pool(settings: "AgentSettings", *, makes_it: bool) -> AsyncIterator[Any]:
    from agent_runtime.data import open_database
    from groundwork.postgres.pool import open_pool

    async with (
        open_database(settings, Path.cwd(), makes_it=makes_it) as dsn,
        open_pool(dsn, name="cli", max_size=2, prepare_threshold=settings.prepare_threshold) as pool,
    ):
        yield pool


@asynccontextmanager
async def _threads() -> AsyncIterator["Threads"]:
    from agent_runtime.database import check_database_ready
    from agent_runtime.errors import AgentIdRequired
    from agent_runtime.threads.service import Threads

    settings = _settings().named_after(Path.cwd())
    if settings.agent_id is None:
        raise AgentIdRequired
    async with _pool(settings, makes_it=False) as pool:
        await check_database_ready(pool, settings)
        yield Threads(pool, settings.agent_id, forget=lambda thread_ids: None)


@asynccontextmanager
async def _records() -> AsyncIterator["TurnRecords"]:
    from agent_runtime.database import check_database_ready
    from agent_runtime.turn_records.service import TurnRecords

    settings = _settings().named_after(Path.cwd())
    async with _pool(settings, makes_it=False) as pool:
        await check_database_ready(pool, settings)
        yield TurnRecords(pool, settings.agent_id or "")


def _time(name: str, text: str | None) -> "datetime | None":
    from agent_runtime.turn_records.describe import read_time

    try:
        return None if text is None else read_time(text)
    except ValueError:
        accepted = "a date or a time in ISO 8601, such as 2026-12-01 or 2026-12-01T08:00:00Z"
        raise InvalidValue(name, f"--{name} must be {accepted}") from None


def _why(failure: dict[str, Any] | None) -> str:
    return ": ".join(filter(None, (failure["at"], failure["error"], failure["message"]))) if failure else ""


def _run(work: Coroutine[Any, Any, Any], *, serves: bool = False) -> Any:
    return run(PROGRAM, work, (AgentError,), serves=serves)


def _say(text: str) -> None:
    typer.echo(text)


def _complain(text: str) -> None:
    complain(PROGRAM, text)


if __name__ == "__main__":
    main()
