"""`registry tokens`: who is let in. Of the registry that is named, else in the database of the settings."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import quote

import typer

from groundwork.output import AsJson, show, show_one
from registry.access import COMMAND_LINE
from registry.cli.agents import Url
from registry.cli.common import open_own_database
from registry.cli.places import call_or_open

if TYPE_CHECKING:
    from registry.tokens.service import Tokens

Result = TypeVar("Result")

app = typer.Typer(help="Tokens of a running registry, or in the database of the settings.", no_args_is_help=True)

_COLUMNS = ("token_id", "tenant_id", "role", "name", "status", "expires_at", "last_used_at")


@app.command()
def create(
    role: Annotated[str, typer.Option(help="operator, developer, reviewer or viewer.", show_default=False)],
    tenant: Annotated[str | None, typer.Option(help="Whose token it is.", show_default="yours")] = None,
    name: Annotated[str, typer.Option(help="What it is for; shown in lists.")] = "",
    expires: Annotated[
        str | None, typer.Option(help="When: 30d, 12h, 45m or 3600s from now.", show_default="never")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. It is shown this once, alone on stdout, so TOKEN=$(registry tokens create …) works."""
    given = {"role": role, "tenant": tenant, "name": name, "expires": expires}
    body = {name: value for name, value in given.items() if value is not None}
    created = call_or_open(url, lambda registry: registry.post("/tokens", body), lambda: _create(body))
    if as_json:
        show_one(created, as_json=True)
        return
    until = f"until {created['expires_at']}" if created["expires_at"] else "until it is revoked"
    whose = f"{created['role']} of tenant {created['tenant_id']}"
    typer.echo(f"{created['token_id']}: {whose}, {until}. Not shown again:", err=True)
    typer.echo(created["token"])


@app.command("list")
def list_tokens(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.", show_default="every tenant's")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List tokens, without what would let anybody use them."""
    query = {} if tenant is None else {"tenant": tenant}
    answer = call_or_open(url, lambda registry: registry.all_of("/tokens", "tokens", query), lambda: _list(tenant))
    show(answer, answer["tokens"], _COLUMNS, as_json=as_json)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a token; it lets nobody in from now on."""
    path = f"/tokens/{quote(token_id, safe='', errors='surrogateescape')}"
    answer = call_or_open(url, lambda registry: registry.delete(path), lambda: _revoke(token_id))
    show_one(answer, as_json=as_json)


async def _create(given: Mapping[str, object]) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from registry.checks import check_value
    from registry.tokens.models import NewToken, show_token

    wanted = check_value(TypeAdapter(NewToken), given)
    created = await _with_tokens(
        lambda tokens: tokens.create_token(
            COMMAND_LINE,
            role=wanted.role,
            tenant_id=wanted.tenant,
            name=wanted.name,
            expires_in=wanted.expires,
        )
    )
    return {**show_token(created.token), "token": created.plaintext}


async def _list(tenant_id: str | None) -> dict[str, Any]:
    from registry.tokens.models import show_token

    page = await _with_tokens(lambda tokens: tokens.list_tokens(COMMAND_LINE, tenant_id))
    return {"tokens": [show_token(token) for token in page.tokens], "total": page.total}


async def _revoke(token_id: str) -> dict[str, Any]:
    await _with_tokens(lambda tokens: tokens.revoke_token(COMMAND_LINE, token_id))
    return {"token_id": token_id, "revoked": True}


async def _with_tokens(ask: "Callable[[Tokens], Awaitable[Result]]") -> Result:
    from registry.tokens.service import Tokens

    async with open_own_database() as pool:
        return await ask(Tokens(pool))
