"""The keys that the registry signs with."""

from starlette.responses import Response
from typing_extensions import TypedDict

from groundwork.http.openapi import DocumentedRouter
from registry.http.deps import CurrentRegistry, PlatformOperator, RegistryRoute
from registry.http.errors import JsonResponse
from registry.http.openapi import failures
from registry.keys.service import Jwk

router = DocumentedRouter(route_class=RegistryRoute, tags=["federation"])


class JwksAnswer(TypedDict):
    keys: list[Jwk]


class KeyRotatedAnswer(TypedDict):
    key_id: str


@router.get("/.well-known/jwks.json", response_model=JwksAnswer, responses=failures())
async def list_keys(registry: CurrentRegistry) -> Response:
    """The public keys that agents check the registry's tokens with, the newest first. For everybody."""
    return JsonResponse({"keys": await registry.keys.list_public()})


@router.post("/keys/rotate", status_code=201, response_model=KeyRotatedAnswer, responses=failures())
async def rotate_keys(principal: PlatformOperator, registry: CurrentRegistry) -> Response:
    """Signs with a new key from now on. The former one is shown for five minutes more, and can sign nothing."""
    return JsonResponse({"key_id": await registry.keys.rotate(principal)}, 201)
