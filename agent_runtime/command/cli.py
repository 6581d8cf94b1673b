"""The command `agent-runtime`. Modules that take time to import are imported where they are needed."""

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_runtime.errors import AgentError, BadProject
from groundwork.command import CANNOT, busy, complain, run, run_with

if TYPE_CHECKING:
    from agent_runtime.settings import AgentSettings
    from agent_runtime.threads.service import Threads

app = typer.Typer(
    help="Run a LangGraph agent and look after its threads.", no_args_is_help=True, add_completion=False
)
threads_app = typer.Typer(help="Threads in the agent's database.", no_args_is_help=True)
app.add_typer(threads_app, name="threads")

PROGRAM = "agent-runtime"


@app.command()
def serve(
    context: typer.Context,
    migrate: Annotated[bool, typer.Option(help="Bring the database schema to this release first.")] = True,
    graph: Annotated[str | None, typer.Option(help="Which of the graphs in agent.toml to serve.")] = None,
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


def _run(work: Coroutine[Any, Any, Any], *, serves: bool = False) -> Any:
    return run(PROGRAM, work, (AgentError,), serves=serves)


def _say(text: str) -> None:
    typer.echo(text)


def _complain(text: str) -> None:
    complain(PROGRAM, text)


if __name__ == "__main__":
    main()
