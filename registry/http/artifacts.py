"""Routes of artifacts: bytes in, bytes out."""

import re

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from groundwork.http.openapi import DocumentedRouter
from registry.artifacts.service import MAX_BYTES
from registry.errors import NotFound, PayloadTooLarge
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, Writer, read_bytes
from registry.http.errors import JsonResponse
from registry.http.openapi import failures

router = DocumentedRouter(prefix="/artifacts", route_class=RegistryRoute, tags=["artifacts"])

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}(\s*;[ -~]{0,255})?", re.ASCII)
_ANY = "application/octet-stream"
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_PUT = {"requestBody": {"required": True, "content": {_ANY: _BYTES}}}
# Generators of clients know bytes by the first of the two.
_GOT = {
    "content": {_ANY: _BYTES, "*/*": _BYTES},
    "description": "The bytes, of the media type that they were left with",
}


class ArtifactAnswer(TypedDict):
    hash: str
    size: int
    media_type: str


@router.post("", response_model=ArtifactAnswer, responses=failures(PayloadTooLarge), openapi_extra=_PUT)
async def put_artifact(principal: Writer, registry: CurrentRegistry, request: Request) -> Response:
    """Keeps the body, of at most 8 MiB, under its SHA-256."""
    content = await read_bytes(request)
    if len(content) > MAX_BYTES:
        raise PayloadTooLarge(MAX_BYTES)
    given = request.headers.get("content-type", _ANY)
    media_type = given if _MEDIA_TYPE.fullmatch(given) else _ANY
    digest = await registry.artifacts.put(principal, media_type, content)
    return JsonResponse({"hash": digest, "size": len(content), "media_type": media_type})


@router.get(
    "/{digest}",
    responses={**failures(NotFound), 200: _GOT},
    response_class=Response,
)
async def get_artifact(principal: Reader, registry: CurrentRegistry, digest: str) -> Response:
    """The bytes as they were left. A browser that is led here saves them and shows nothing."""
    artifact = await registry.artifacts.get(principal, digest)
    headers = {
        "Content-Disposition": "attachment",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    return Response(artifact.content, media_type=artifact.media_type, headers=headers)
