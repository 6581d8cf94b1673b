"""Routes of tokens."""

from typing import Annotated

from starlette.responses import Response
from typing_extensions import TypedDict

from groundwork.http.openapi import DocumentedRouter
from registry.errors import NotFound
from registry.http.deps import CurrentRegistry, Operator, RegistryRoute, body_of, query_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.tokens.models import NewToken, ShownToken, TokensQuery, show_token

router = DocumentedRouter(prefix="/tokens", route_class=RegistryRoute, tags=["tokens"])


class CreatedTokenAnswer(ShownToken):
    token: str


class TokensAnswer(TypedDict):
    tokens: list[ShownToken]
    total: int


class TokenRevokedAnswer(TypedDict):
    token_id: str
    revoked: bool


@router.post(
    "",
    status_code=201,
    response_model=CreatedTokenAnswer,
    responses=failures(NotFound),
    openapi_extra=described(body=NewToken),
)
async def create_token(
    principal: Operator, registry: CurrentRegistry, wanted: Annotated[NewToken, body_of(NewToken)]
) -> Response:
    """Makes a token. `token` is what its bearer sends, and is shown this once: only its hash is stored.

    Without `tenant` the token is of the caller's own; operators of the tenant `default` may name any."""
    created = await registry.tokens.create_token(
        principal, role=wanted.role, tenant_id=wanted.tenant, name=wanted.name, expires_in=wanted.expires
    )
    return JsonResponse({**show_token(created.token), "token": created.plaintext}, 201)


@router.get(
    "", response_model=TokensAnswer, responses=failures(NotFound), openapi_extra=described(query=TokensQuery)
)
async def list_tokens(
    principal: Operator, registry: CurrentRegistry, wanted: Annotated[TokensQuery, query_of(TokensQuery)]
) -> Response:
    """Tokens in the order in which they were made: those of the caller's tenant; for operators of the tenant
    `default` those of all tenants, or of one. Their plaintext is not there to be shown."""
    page = await registry.tokens.list_tokens(principal, wanted.tenant, wanted.limit, wanted.offset)
    return JsonResponse({"tokens": [show_token(token) for token in page.tokens], "total": page.total})


@router.get("/{token_id}", response_model=ShownToken, responses=failures(NotFound))
async def get_token(principal: Operator, registry: CurrentRegistry, token_id: str) -> Response:
    """One token."""
    return JsonResponse(show_token(await registry.tokens.get_token(principal, token_id)))


@router.delete("/{token_id}", response_model=TokenRevokedAnswer, responses=failures(NotFound))
async def revoke_token(principal: Operator, registry: CurrentRegistry, token_id: str) -> Response:
    """Revokes a token, from the next request on. A token that is revoked already stays so."""
    await registry.tokens.revoke_token(principal, token_id)
    return JsonResponse({"token_id": token_id, "revoked": True})
