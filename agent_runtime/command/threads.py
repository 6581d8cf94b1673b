"""`agent-runtime threads …`: look after the threads of the directory's agent."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from agent_runtime.command.common import open_threads, run_command, say
from agent_runtime.errors import InvalidValue
from agent_runtime.threads.forms import Form
from groundwork.command import busy

threads_app = typer.Typer(help="Threads in the agent's database.", no_args_is_help=True)


@threads_app.command()
def adopt(
    prefix: Annotated[str, typer.Option(help="Only threads whose id begins with this.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, change nothing.")] = False,
) -> None:
    """Claim threads that have checkpoints but no owner: another LangGraph program wrote them."""

    async def work() -> None:
        async with open_threads() as threads:
            with busy("Looking for threads without an owner"):
                count = await threads.adopt(prefix, dry_run=dry_run)
        say(f"{count} threads {'would be adopted' if dry_run else 'adopted'}.")

    run_command(work())


@threads_app.command()
def sweep(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, change nothing.")] = False,
) -> None:
    """Remove checkpoint blobs and writes whose thread has neither a checkpoint nor an owner."""

    async def work() -> None:
        async with open_threads() as threads:
            with busy("Looking for orphaned rows"):
                counts = await threads.sweep_orphans(dry_run=dry_run)
        for table, count in counts.items():
            say(f"{table}: {count} orphaned rows {'found' if dry_run else 'removed'}.")

    run_command(work())


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
        async with open_threads() as threads:
            checking = ThreadCheck(threads)
            async for problem in checking.run(Path.cwd(), graph, sample):
                found += 1
                say(f"{problem.thread_id}: step {problem.step}: {problem.what}: {problem.why}")
        say(f"{checking.checked} threads checked; {found or 'nothing'} would not load.")
        return found

    if run_command(work()):
        raise typer.Exit(1)


@threads_app.command("export")
def export_threads(
    thread: Annotated[str | None, typer.Option(help="One thread.")] = None,
    caller: Annotated[str | None, typer.Option(help="The threads that this caller has opened.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All threads of the agent.")] = False,
) -> None:
    """Write threads to standard output, as JSON lines for people, programs and `threads import`."""

    async def work() -> None:
        from agent_runtime.exports.exporting import Exports

        if [thread is not None, caller is not None, everything].count(True) != 1:
            raise InvalidValue("thread", "say one of --thread ID, --caller NAME and --all")
        async with open_threads() as threads:
            exports = Exports(threads.pool, threads.agent_id)
            if thread is not None:
                await exports.check(thread)
            chunks = exports.export_all(caller) if thread is None else exports.export_thread(thread)
            async for chunk in chunks:
                sys.stdout.buffer.write(chunk)

    run_command(work())


@threads_app.command("import")
def import_lines(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="What was exported; - is standard input.")],
) -> None:
    """Read exported threads into this agent's database. A thread whose id is taken is left as it is."""

    async def work() -> None:
        from agent_runtime.exports.importing import import_threads

        made, there = 0, 0
        async with open_threads() as threads:
            async for imported in import_threads(threads.pool, threads.agent_id, file):
                made, there = made + (not imported.was_there), there + imported.was_there
                if imported.was_there:
                    say(f"{imported.thread_id}: there already, not imported")
        say(f"{made} threads imported, {there} were there already.")

    run_command(work())


@threads_app.command()
def convert(
    to: Annotated[Form, typer.Option(help="The state of the graph that is to go on.", case_sensitive=False)],
    thread: Annotated[str | None, typer.Option(help="Only this thread.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, change nothing.")] = False,
) -> None:
    """Turn stored conversations of MessagesState into those of Conversation, or back, while no agent runs."""

    async def work() -> bool:
        from agent_runtime.retention.convert import Converter

        converted, left, failed = 0, 0, False
        async with open_threads() as threads:
            with busy("Converting conversations"):
                async for each in Converter(threads, to).run(thread, dry_run=dry_run):
                    converted, left = converted + each.converted, left + (not each.converted)
                    if each.why:
                        failed = True
                        say(f"{each.thread_id}: not converted: {each.why}")
        say(f"{converted} threads {'would be converted' if dry_run else 'converted'}, {left} left as they are.")
        return failed

    if run_command(work()):
        raise typer.Exit(1)
