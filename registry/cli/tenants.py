"""`registry tenants`: who shares the registry. Of the one that is named, else in the database of the settings."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import quote

import typer

from groundwork.output import AsJson, show, show_one
from registry.access import COMMAND_LINE
from registry.cli.agents import Url
from registry.cli.common import open_own_database
from registry.cli.places import call_or_open
from registry.errors import InvalidRequest

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls
    from registry.tenants.models import Tenant
    from registry.tenants.service import Tenants

Result = TypeVar("Result")

app = typer.Typer(help="Tenants of a running registry, or in the database of the settings.", no_args_is_help=True)

TenantId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]

_COLUMNS = ("tenant_id", "name", "status", "limits", "created_at")


@app.command()
def create(
    tenant_id: TenantId,
    name: Annotated[str | None, typer.Option(help="For people.", show_default="the ID")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a tenant. Its ID is lower-case letters, digits, - and _, and is never given out again."""
    body = {"id": tenant_id} | ({"name": name} if name is not None else {})
    _show(call_or_open(url, lambda registry: registry.post("/tenants", body), lambda: _create(body)), as_json)


@app.command("list")
def list_tenants(url: Url = None, as_json: AsJson = False) -> None:
    """List tenants."""
    answer = call_or_open(url, lambda registry: registry.all_of("/tenants", "tenants"), _list)
    show(answer, answer["tenants"], _COLUMNS, as_json=as_json)


@app.command("show")
def show_tenant_of(tenant_id: TenantId, url: Url = None, as_json: AsJson = False) -> None:
    """Show a tenant."""
    _show(call_or_open(url, lambda registry: registry.get(_path(tenant_id)), lambda: _get(tenant_id)), as_json)


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
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given. The tokens of a tenant that is not active let nobody in."""
    given = {"name": name, "status": status}

    async def change(registry: "RegistryCalls") -> dict[str, Any]:
        path = _path(tenant_id)
        tenant = await registry.get(path)
        return await registry.put(path, _changed(given, limit or [], tenant["limits"]))

    _show(call_or_open(url, change, lambda: _update(tenant_id, given, limit or [])), as_json)


@app.command()
def delete(
    tenant_id: TenantId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete a suspended or archived tenant with its tokens and agents, for good. Its audit log stays."""
    if not yes:
        typer.confirm(f"Delete tenant {tenant_id} with its tokens and agents?", abort=True, err=True)
    answer = call_or_open(url, lambda registry: registry.delete(_path(tenant_id)), lambda: _delete(tenant_id))
    show_one(answer, as_json=as_json)


async def _create(given: Mapping[str, Any]) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from registry.checks import check_value
    from registry.tenants.models import NewTenant, show_tenant

    wanted = check_value(TypeAdapter(NewTenant), given)
    return {**show_tenant(await _with_tenants(lambda tenants: tenants.create_tenant(COMMAND_LINE, wanted)))}


async def _list() -> dict[str, Any]:
    from registry.tenants.models import show_tenant

    page = await _with_tenants(lambda tenants: tenants.list_tenants(COMMAND_LINE))
    return {"tenants": [show_tenant(tenant) for tenant in page.tenants], "total": page.total}


async def _get(tenant_id: str) -> dict[str, Any]:
    from registry.tenants.models import show_tenant

    return {**show_tenant(await _with_tenants(lambda tenants: tenants.get_tenant(COMMAND_LINE, tenant_id)))}


async def _delete(tenant_id: str) -> dict[str, Any]:
    await _with_tenants(lambda tenants: tenants.delete_tenant(COMMAND_LINE, tenant_id))
    return {"tenant_id": tenant_id, "deleted": True}


async def _update(tenant_id: str, given: Mapping[str, Any], limits: Sequence[str]) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from registry.checks import check_value
    from registry.tenants.models import TenantChanges, show_tenant

    async def change(tenants: "Tenants") -> "Tenant":
        tenant = await tenants.get_tenant(COMMAND_LINE, tenant_id)
        wanted = _changed(given, limits, tenant.limits)
        return await tenants.update_tenant(
            COMMAND_LINE, tenant_id, check_value(TypeAdapter(TenantChanges), wanted)
        )

    return {**show_tenant(await _with_tenants(change))}


def _changed(given: Mapping[str, Any], limits: Sequence[str], there: Mapping[str, Any]) -> dict[str, Any]:
    """What to send. The limits that are not named here stay, so all of them are given anew."""
    changes = {name: value for name, value in given.items() if value is not None}
    return changes | ({"limits": {**there, **dict(map(_read_limit, limits))}} if limits else {})


def _read_limit(text: str) -> tuple[str, object]:
    """`max_agents=5`. Whether there is such a limit, and whether the number will do, is checked with the rest."""
    name, equals, number = text.partition("=")
    if not equals:
        raise InvalidRequest(f"--limit {text}: accepted: NAME=NUMBER")
    try:
        return name, json.loads(number) if number else None
    except (ValueError, RecursionError):
        return name, number


def _path(tenant_id: str) -> str:
    return f"/tenants/{quote(tenant_id, safe='', errors='surrogateescape')}"


def _show(shown: Mapping[str, Any], as_json: bool) -> None:
    show_one(shown if as_json else {key: value for key, value in shown.items() if key != "id"}, as_json=as_json)


async def _with_tenants(ask: "Callable[[Tenants], Awaitable[Result]]") -> Result:
    from registry.tenants.service import Tenants

    async with open_own_database() as pool:
        return await ask(Tenants(pool))
