"""The command `registry`. Modules that take time to import are imported where they are needed."""

import sys

import typer

from groundwork.command import CANNOT, complain
from registry.cli import (
    agents,
    audit,
    backups,
    components,
    erasures,
    executions,
    keys,
    serve,
    tenants,
    tokens,
    usage,
    workflows,
)
from registry.cli.common import PROGRAM

app = typer.Typer(
    help="Run the central registry of agents, and look after it.",
    no_args_is_help=True,
    add_completion=False,
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
app.command("run")(executions.run)
app.command("inspect")(executions.inspect)
app.command("events")(executions.events)
app.command("approve")(executions.approve)
app.command("cancel")(executions.cancel)
app.command("usage")(usage.usage)
app.add_typer(agents.app, name="agents")
app.add_typer(audit.app, name="audit")
app.add_typer(erasures.app, name="erasures")
app.add_typer(components.app, name="components")
app.add_typer(keys.app, name="keys")
app.add_typer(tenants.app, name="tenants")
app.add_typer(tokens.app, name="tokens")
app.add_typer(workflows.app, name="workflows")


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
