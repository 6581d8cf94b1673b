"""The command `agent-runtime`. Modules that take time to import are imported where they are needed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_runtime.command.common import complain, open_pool, open_records, read_settings, run_command, say
from agent_runtime.command.data import backup, data_app, restore
from agent_runtime.command.threads import threads_app
from agent_runtime.errors import BadProject, InvalidValue
from groundwork.command import CANNOT, run_with
from groundwork.output import AsJson, show

if TYPE_CHECKING:
    from datetime import datetime

    from agent_runtime.settings import AgentSettings

app = typer.Typer(
    help="Run a LangGraph agent and look after its threads.", no_args_is_help=True, add_completion=False
)
app.add_typer(threads_app, name="threads")
app.add_typer(data_app, name="data")
app.command()(backup)
app.command()(restore)

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
    _serve_here(context, migrate, graph, reloads=False)


@app.command()
def dev(
    context: typer.Context,
    graph: Annotated[str | None, typer.Option(help="Which of the project's graphs answers A2A.")] = None,
) -> None:
    """Serve the agent of this directory while it is written: reload code when it is saved, and show turns."""
    _serve_here(context, True, graph, reloads=True)


def _serve_here(context: typer.Context, migrate: bool, graph: str | None, *, reloads: bool) -> None:
    # What the environment itself says wins over `.env` at the next start, so a change written there would be lost.
    env_file = None if "PUBLIC_AGENT_URL" in context.obj else Path.cwd() / ".env"

    def read_again() -> "AgentSettings":
        from agent_runtime.settings import AgentSettings
        from groundwork.process.settings import load_settings, read_env_file

        read_env_file(keep=context.obj)
        return load_settings(AgentSettings)

    run_command(_serve(read_settings(), env_file, migrate, graph, read_again, reloads), serves=True)


@app.command()
def migrate() -> None:
    """Bring the database schema to this release, and do nothing else."""

    async def work() -> None:
        from agent_runtime.database import prepare_database
        from agent_runtime.project.langgraph_json import store_index_of

        async with open_pool(read_settings(), makes_it=True) as pool:
            await prepare_database(pool, store_index_of(Path.cwd()))
        say("The schema is up to date.")

    run_command(work())


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def with_database(command: Annotated[list[str], typer.Argument(help="What to run, with its arguments.")]) -> None:
    """Run a command, such as pg_restore, while the embedded PostgreSQL of this directory runs."""

    async def work() -> int:
        from agent_runtime.data import open_embedded_database

        async with open_embedded_database(read_settings(), Path.cwd()) as dsn:
            return await run_with(dsn, command)

    raise typer.Exit(run_command(work()))


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
        async with open_records() as records:
            page, _ = await records.list_turns(wanted, limit)
        return [describe_turn(record) for record in page]

    found = run_command(work())
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
        async with open_records() as records:
            total, groups = await records.sum_usage(read_group(by), wanted, limit)
        return {"by": by, "total": describe_usage(total), "usage": [describe_usage(group) for group in groups]}

    found = run_command(work())
    rows = [{by: group["key"] or "-", **group} for group in found["usage"]] + [{by: "total", **found["total"]}]
    show(found, rows, (by, *_USAGE_COLUMNS), as_json=as_json)


@app.command()
def card() -> None:
    """Fetch the card from the agent's public URL, compare it with this directory, and post to each interface."""
    from agent_runtime.a2a_server.card_check import check_card

    problems = run_command(check_card(read_settings(), Path.cwd()))
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)
    say("The public URL serves this agent's card, and each interface on it answers.")


def main() -> None:
    """Entry point. `.env` comes first: what it sets decides how some libraries behave when imported."""
    from agent_runtime.project.langgraph_json import set_environment
    from groundwork.process.settings import BadSetting, read_env_file

    outer = frozenset(os.environ)
    try:
        read_env_file()
        set_environment(Path.cwd())
    except (BadSetting, BadProject) as error:
        complain(str(error))
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
    reloads: bool,
) -> None:
    """A mistake in the project is told at once. Then the embedded server comes up while the rest is imported."""
    from agent_runtime.data import open_database
    from agent_runtime.project.file import load_project
    from groundwork.process.overlap import imported, opening

    project = load_project(Path.cwd(), graph=graph)
    async with opening(open_database(settings, Path.cwd())) as database:
        server = await imported("agent_runtime.command.serve")
        await server.serve_agent(
            settings,
            project,
            env_file=env_file,
            migrate=migrate,
            database=database,
            read_settings=read_settings,
            reloads=reloads,
        )


def _time(name: str, text: str | None) -> "datetime | None":
    from agent_runtime.turn_records.describe import read_time

    try:
        return None if text is None else read_time(text)
    except ValueError:
        accepted = "a date or a time in ISO 8601, such as 2026-12-01 or 2026-12-01T08:00:00Z"
        raise InvalidValue(name, f"--{name} must be {accepted}") from None


def _why(failure: dict[str, Any] | None) -> str:
    return ": ".join(filter(None, (failure["at"], failure["error"], failure["message"]))) if failure else ""


if __name__ == "__main__":
    main()
