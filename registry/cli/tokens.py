"""`registry tokens`: who is let in."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from groundwork.output import AsJson, show, show_one
from registry.access import COMMAND_LINE
from registry.cli.common import open_own_database, run

if TYPE_CHECKING:
    from registry.tokens.models import CreatedToken
    from registry.tokens.service import Tokens

Result = TypeVar("Result")

app = typer.Typer(help="Tokens in the registry's database.", no_args_is_help=True)

_COLUMNS = ("token_id", "tenant_id", "role", "name", "status", "expires_at", "last_used_at")


@app.command()
def create(
    role: Annotated[str, typer.Option(help="operator, developer, reviewer or viewer.", show_default=False)],
    tenant: Annotated[str, typer.Option(help="Whose token it is.")] = COMMAND_LINE.tenant_id,
    name: Annotated[str, typer.Option(help="What it is for; shown in lists.")] = "",
    expires: Annotated[
        str | None, typer.Option(help="When: 30d, 12h, 45m or 3600s from now.", show_default="never")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. It is shown this once, alone on stdout, so TOKEN=$(registry tokens create …) works."""
    from registry.tokens.models import show_token

    created = run(_create({"role": role, "tenant": tenant, "name": name, "expires": expires}))
    if as_json:
        show_one({**show_token(created.token), "token": created.plaintext}, as_json=True)
        return
    token = created.token
    until = f"until {show_token(token)['expires_at']}" if token.expires_at else "until it is revoked"
    typer.echo(f"{token.token_id}: {token.role} of tenant {token.tenant_id}, {until}. Not shown again:", err=True)
    typer.echo(created.plaintext)


@app.command("list")
def list_tokens(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.", show_default="every tenant's")] = None,
    as_json: AsJson = False,
) -> None:
    """List tokens, without what would let anybody use them."""
    from registry.tokens.models import show_token

    page = run(_with_tokens(lambda tokens: tokens.list_tokens(COMMAND_LINE, tenant)))
    shown = [show_token(token) for token in page.tokens]
    show({"tokens": shown, "total": page.total}, shown, _COLUMNS, as_json=as_json)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)], as_json: AsJson = False
) -> None:
    """Revoke a token; it lets nobody in from now on."""
    run(_with_tokens(lambda tokens: tokens.revoke_token(COMMAND_LINE, token_id)))
    show_one({"token_id": token_id, "revoked": True}, as_json=as_json)


async def _create(given: dict[str, object]) -> "CreatedToken":
    from pydantic import TypeAdapter

    from registry.checks import check_value
    from registry.tokens.models import NewToken

    wanted = check_value(TypeAdapter(NewToken), given)
    return await _with_tokens(
        lambda tokens: tokens.create_token(
            COMMAND_LINE,
            role=wanted.role,
            tenant_id=wanted.tenant,
            name=wanted.name,
            expires_in=wanted.expires,
        )
    )


async def _with_tokens(ask: "Callable[[Tokens], Awaitable[Result]]") -> Result:
    from registry.tokens.service import Tokens

    async with open_own_database() as pool:
        return await ask(Tokens(pool))
