"""The command `registry`. Modules that take time to import are imported where they are needed."""

import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from groundwork.command import CANNOT, complain
from registry.cli import (
    agent_admin,
    agents,
    audit,
    backups,
    components,
    cron,
    decisions,
    erasures,
    executions,
    keys,
    profiles,
    serve,
    tenants,
    tokens,
    usage,
    workers,
    workflows,
)
from registry.cli.common import PROGRAM


class _Command(TyperGroup):
    """`registry`. `--profile NAME` may stand anywhere on the line; other programs' options are left alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "with-database" not in args and "--profile" in args[:-1]:
            place = args.index("--profile")
            args = [*args[place : place + 2], *args[:place], *args[place + 2 :]]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Command,
    help="Run the central registry of agents, and look after it.",
    no_args_is_help=True,
    # A traceback ends up in logs, and there are tokens among the variables.
    pretty_exceptions_show_locals=False,
)
app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("migrate")(serve.migrate)
app.command("with-database", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(
    serve.with_database
)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.command("scrub")(backups.scrub)
app.command("run")(executions.run)
app.command("inspect")(executions.inspect)
app.command("events")(executions.events)
app.command("approve")(executions.approve)
app.command("cancel")(executions.cancel)
app.command("usage")(usage.usage)
for _verb in (
    agent_admin.status,
    agent_admin.threads,
    agent_admin.messages,
    agent_admin.config,
    agent_admin.turns,
    agent_admin.usage,
    agent_admin.erase,
):
    agents.app.command()(_verb)
app.add_typer(agents.app, name="agents")
app.add_typer(audit.app, name="audit")
app.add_typer(decisions.app, name="decisions")
app.add_typer(erasures.app, name="erasures")
app.add_typer(components.app, name="components")
app.add_typer(cron.app, name="cron")
app.add_typer(executions.app, name="executions")
app.add_typer(keys.app, name="keys")
app.add_typer(profiles.app, name="profiles")
app.add_typer(tenants.app, name="tenants")
app.add_typer(tokens.app, name="tokens")
app.add_typer(workers.app, name="workers")
app.add_typer(workflows.app, name="workflows")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {version('agent-sidecar')}")
        raise typer.Exit


@app.callback()
def start(
    profile: Annotated[
        str | None,
        typer.Option(help="One of `registry profiles`, or none.", show_default=False),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None:
    """Run the central registry of agents, and look after it."""
    profiles.CHOSEN.set(profile)


def main() -> None:
    """Entry point."""
    _read_env_file()
    app()


def serve_for_jamjet() -> None:
    """Entry point of `jamjet-server`, which `jamjet dev` starts, with settings and no arguments."""
    _read_env_file()
    app(["serve", *sys.argv[1:]])


def _read_env_file() -> None:
    from groundwork.process.settings import BadSetting, read_env_file

    try:
        read_env_file()
    except BadSetting as error:
        complain(PROGRAM, str(error))
        raise SystemExit(CANNOT) from None
