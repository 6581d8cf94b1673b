"""`registry audit`: reading the audit log, and finding out whether it is as it was written."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundwork.command import CANNOT, complain
from groundwork.output import AsJson, print_json, show
from registry.access import PLATFORM_TENANT
from registry.cli.agents import Url
from registry.cli.common import PROGRAM, open_own_database, run
from registry.cli.places import call, call_or_open, named_place

if TYPE_CHECKING:
    from registry.audit.chain import ChainReport, Mark
    from registry.cli.client import RegistryCalls

app = typer.Typer(
    help="The audit log of a running registry, or in the database of the settings.", no_args_is_help=True
)

Tenant = Annotated[
    str | None, typer.Option(help="Whose log, in the database itself.", show_default=PLATFORM_TENANT)
]

_COLUMNS = ("sequence", "created_at", "event_type", "actor_id", "role", "subject", "execution_id")


@app.command("list")
def list_entries(
    tenant: Tenant = None,
    execution_id: Annotated[str | None, typer.Option(help="Only about this execution.")] = None,
    actor_id: Annotated[str | None, typer.Option(help="Only by this token or other actor.")] = None,
    event_type: Annotated[str | None, typer.Option(help="Only of this kind, such as write_refused.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    offset: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List entries, the newest first."""
    filters = {"execution_id": execution_id, "actor_id": actor_id, "event_type": event_type}
    wanted = {**filters, "limit": limit, "offset": offset}
    query = {name: str(value) for name, value in wanted.items() if value is not None}
    _check_whose(tenant, url)
    page = call_or_open(
        url, lambda registry: registry.get("/audit", query), lambda: _page(tenant or PLATFORM_TENANT, wanted)
    )
    show(page, page["items"], _COLUMNS, as_json=as_json)


@app.command()
def export(
    tenant: Tenant = None,
    after: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Entries that follow this sequence.")] = 0,
    url: Url = None,
) -> None:
    """Print entries as JSON lines, the oldest first; the last line's sequence is where to go on the next time."""
    _check_whose(tenant, url)
    if named_place(url) is None:
        run(_export(tenant or PLATFORM_TENANT, after))
    else:
        call(url, lambda registry: _print_lines(registry, after))


@app.command()
def verify(
    tenant: Annotated[
        str | None, typer.Option(help="Only this tenant's chain.", show_default="every tenant's")
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="SEQUENCE:HASH",
            help="A head that was noted earlier. Only this shows a chain that was written anew, or cut. It is of"
            f" --tenant's chain, or of tenant {PLATFORM_TENANT}'s.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """In the registry's own database, recompute the hashes of all entries, and print where each chain ends; what
    is noted of that elsewhere can be compared later.

    Ends with 1 when a chain is not as it was written."""
    reports = run(_verify(tenant, _mark(expect)))
    if as_json:
        print_json([_shown(report) for report in reports])
    else:
        typer.echo("\n".join(map(_line, reports)) or "There are no entries.")
    if any(report.problem for report in reports):
        raise typer.Exit(1)


def _check_whose(tenant: str | None, url: str | None) -> None:
    """Raises `typer.Exit`."""
    if tenant is not None and named_place(url) is not None:
        complain(
            PROGRAM, "--tenant needs the database itself: at a running registry a token reads its own tenant's log"
        )
        raise typer.Exit(CANNOT)


async def _print_lines(registry: "RegistryCalls", after: int) -> None:
    async for line in registry.lines("/audit", {"after": str(after)}):
        typer.echo(line)


async def _export(tenant_id: str, after: int) -> None:
    from groundwork.http.json_body import to_json
    from registry.audit.models import show_entry
    from registry.audit.service import Audit
    from registry.checks import refuse_unstorable_text

    refuse_unstorable_text({"tenant": tenant_id})
    async with open_own_database() as pool:
        async for entries in Audit(pool).stream_after(tenant_id, after):
            for entry in entries:
                typer.echo(to_json(show_entry(entry)))


async def _page(tenant_id: str, wanted: Mapping[str, str | int | None]) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from registry.audit.models import AuditQuery, show_page
    from registry.audit.service import Audit
    from registry.checks import check_value, refuse_unstorable_text

    refuse_unstorable_text({"tenant": tenant_id, **wanted})
    query = check_value(TypeAdapter(AuditQuery), wanted)
    async with open_own_database() as pool:
        return {**show_page(await Audit(pool).list_entries(tenant_id, query))}


async def _verify(tenant_id: str | None, noted: "Mark | None") -> "Sequence[ChainReport]":
    from registry.audit.service import Audit
    from registry.checks import refuse_unstorable_text

    refuse_unstorable_text(tenant_id, "--tenant")
    async with open_own_database() as pool:
        with _progress() as progress:
            return await Audit(pool).verify(tenant_id, noted, progress)


def _mark(text: str | None) -> "Mark | None":
    from registry.audit.chain import Mark

    try:
        return None if text is None else Mark.parse(text)
    except ValueError as error:
        complain(PROGRAM, f"--expect {text}: {error}")
        raise typer.Exit(CANNOT) from None


def _line(report: "ChainReport") -> str:
    entries = f"{report.entries} {'entry' if report.entries == 1 else 'entries'}"
    verdict = f"BROKEN at entry {report.broken_at}: {report.problem}" if report.problem else "whole"
    return f"{report.tenant_id}: {entries}, {verdict}; head {report.head or '(none)'}"


def _shown(report: "ChainReport") -> dict[str, object]:
    return {
        "tenant_id": report.tenant_id,
        "ok": report.problem is None,
        "entries": report.entries,
        "head": str(report.head) if report.head else None,
        "broken_at": report.broken_at,
        "problem": report.problem,
    }


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda seen, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Recomputing hashes", total=None)
        yield lambda seen, total: bar.update(task, completed=seen, total=total)
