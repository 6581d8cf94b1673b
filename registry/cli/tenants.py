"""`registry tenants`: who shares the registry."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from groundwork.output import AsJson, show, show_one
from registry.access import COMMAND_LINE
from registry.cli.common import open_own_database, run
from registry.errors import InvalidRequest

if TYPE_CHECKING:
    from registry.tenants.models import Tenant
    from registry.tenants.service import Tenants

Result = TypeVar("Result")

app = typer.Typer(help="Tenants in the registry's database.", no_args_is_help=True)

TenantId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]

_COLUMNS = ("tenant_id", "name", "status", "limits", "created_at")


@app.command()
def create(
    tenant_id: TenantId,
    name: Annotated[str | None, typer.Option(help="For people.", show_default="the ID")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a tenant. Its ID is lower-case letters, digits, - and _, and is never given out again."""
    _show(run(_create(tenant_id, name)), as_json)


@app.command("list")
def list_tenants(as_json: AsJson = False) -> None:
    """List tenants."""
    from registry.tenants.models import show_tenant

    page = run(_with_tenants(lambda tenants: tenants.list_tenants(COMMAND_LINE)))
    shown = [show_tenant(tenant) for tenant in page.tenants]
    show({"tenants": shown, "total": page.total}, shown, _COLUMNS, as_json=as_json)


@app.command("show")
def show_tenant_of(tenant_id: TenantId, as_json: AsJson = False) -> None:
    """Show a tenant."""
    _show(run(_with_tenants(lambda tenants: tenants.get_tenant(COMMAND_LINE, tenant_id))), as_json)


@app.command()
def update(
    tenant_id: TenantId,
    name: Annotated[str | None, typer.Option(help="For people.", show_default=False)] = None,
    status: Annotated[str | None, typer.Option(help="active, suspended or archived.", show_default=False)] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="Such as max_agents=5; NAME= lifts a limit. May be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given. The tokens of a tenant that is not active let nobody in."""
    _show(run(_update(tenant_id, {"name": name, "status": status}, limit or [])), as_json)


@app.command()
def delete(
    tenant_id: TenantId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a suspended or archived tenant with its tokens and agents, for good. Its audit log stays."""
    if not yes:
        typer.confirm(f"Delete tenant {tenant_id} with its tokens and agents?", abort=True, err=True)
    run(_with_tenants(lambda tenants: tenants.delete_tenant(COMMAND_LINE, tenant_id)))
    show_one({"tenant_id": tenant_id, "deleted": True}, as_json=as_json)


async def _create(tenant_id: str, name: str | None) -> "Tenant":
    from pydantic import TypeAdapter

    from registry.checks import check_value
    from registry.tenants.models import NewTenant

    wanted = check_value(TypeAdapter(NewTenant), {"id": tenant_id, "name": name})
    return await _with_tenants(lambda tenants: tenants.create_tenant(COMMAND_LINE, wanted))


async def _update(tenant_id: str, given: Mapping[str, Any], limits: Sequence[str]) -> "Tenant":
    from pydantic import TypeAdapter

    from registry.checks import check_value
    from registry.tenants.models import TenantChanges

    async def change(tenants: "Tenants") -> "Tenant":
        tenant = await tenants.get_tenant(COMMAND_LINE, tenant_id)
        # The limits that are not named here stay, so all of them are given anew.
        wanted = {**given, "limits": tenant.limits | dict(map(_read_limit, limits)) if limits else None}
        return await tenants.update_tenant(
            COMMAND_LINE, tenant_id, check_value(TypeAdapter(TenantChanges), wanted)
        )

    return await _with_tenants(change)


def _read_limit(text: str) -> tuple[str, object]:
    """`max_agents=5`. Whether there is such a limit, and whether the number will do, is checked with the rest."""
    name, equals, number = text.partition("=")
    if not equals:
        raise InvalidRequest(f"--limit {text}: accepted: NAME=NUMBER")
    try:
        return name, json.loads(number) if number else None
    except (ValueError, RecursionError):
        return name, number


def _show(tenant: "Tenant", as_json: bool) -> None:
    from registry.tenants.models import show_tenant

    shown = show_tenant(tenant)
    show_one(shown if as_json else {key: value for key, value in shown.items() if key != "id"}, as_json=as_json)


async def _with_tenants(ask: "Callable[[Tenants], Awaitable[Result]]") -> Result:
    from registry.tenants.service import Tenants

    async with open_own_database() as pool:
        return await ask(Tenants(pool))
