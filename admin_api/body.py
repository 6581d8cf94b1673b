"""Reading a request's JSON body, bounded, once the guards have let the request through."""

from typing import Annotated, Any, TypeVar

from fastapi import Depends
from pydantic import TypeAdapter
from starlette.requests import ClientDisconnect, Request

from admin_api.deps import Administration, get_administration
from admin_api.errors import InvalidBody, PayloadTooLarge
from admin_api.parameters import check
from groundwork.http.json_body import BadJson, parse_json

Model = TypeVar("Model")

# A web form can send these to any site without asking it first, and a POST is what it sends them with.
_SENT_BY_FORMS = {"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}

# How much of a body that is too large is read and thrown away, so that its sender gets to see the answer.
_PATIENCE = 8


async def refuse_forms(request: Request) -> None:
    """Keeps pages of other sites from posting through their visitor's browser."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and media_type in _SENT_BY_FORMS:
        raise InvalidBody(f"the body is sent as {media_type}; send it with Content-Type: application/json")


async def read_object(
    request: Request,
    administration: Annotated[Administration, Depends(get_administration)],
    _: Annotated[None, Depends(refuse_forms)],
) -> dict[str, Any]:
    """The body, a JSON object. Raises `PayloadTooLarge` and `InvalidBody`."""
    data = await _read(request, administration.max_body_bytes)
    if not data.strip():
        raise InvalidBody("the body is empty; send a JSON object")
    try:
        body = parse_json(data)
    except BadJson as error:
        raise InvalidBody(f"the body cannot be used: {error}") from None
    if not isinstance(body, dict):
        raise InvalidBody("the body must be a JSON object")
    return body


JsonObject = Annotated[dict[str, Any], Depends(read_object)]


def body_of(model: type[Model]) -> Any:
    """A dependency: the body as a `model`."""
    adapter = TypeAdapter(model)

    async def read(body: JsonObject) -> Model:
        return check(adapter, body)

    return Depends(read)


async def _read(request: Request, limit: int) -> bytes:
    # Content-Length is not believed: it may be wrong, or missing.
    kept, size = bytearray(), 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                kept += chunk
            elif size > _PATIENCE * limit:
                break
    except ClientDisconnect:
        raise InvalidBody("the connection was closed before the body was complete") from None
    if size > limit:
        raise PayloadTooLarge(limit)
    return bytes(kept)
