"""Refuses requests whose body is not JSON that the rest can deal with, in the protocol's own shape."""

import json
import re
from typing import Any

from a2a.server.jsonrpc_models import InvalidRequestError as RpcInvalidRequest
from a2a.server.jsonrpc_models import JSONParseError, JSONRPCError
from a2a.server.request_handlers.response_helpers import build_error_response
from a2a.utils.error_handlers import build_rest_error_payload
from a2a.utils.errors import InvalidParamsError, InvalidRequestError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_runtime.a2a_server.exact import MARK, BadPart, carry, has_mark
from groundwork.http.json_body import BadJson, parse_json

DEEPEST_NESTING = 36
"""Protobuf writes deeper values than it reads: of what passes here, everything stored can be read again."""

_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_JSON_TYPE = re.compile(r"application/([\w.+-]+\+)?json", re.IGNORECASE)


class Refused(Exception):
    """The request cannot be read; `status` is the HTTP status of the answer. `call` is the call whose parameters
    are wrong, where it is known that far."""

    def __init__(self, status: int, message: str, call: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.call = call


class JsonGuard:
    """Reads the whole body, looks at it as JSON, and passes it on.

    Only JSON's own media types are accepted: a form on a foreign web page can send the others. `rpc` says in
    which of the protocol's two shapes a refusal is told.
    """

    def __init__(self, app: ASGIApp, *, rpc: bool) -> None:
        self._app = app
        self._rpc = rpc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        try:
            if body or self._rpc:
                check_media_type(Headers(scope=scope).get("content-type", ""))
                body = self._carried(body, check_body(body, objects_only=not self._rpc))
        except Refused as refused:
            await answer_to(refused, rpc=self._rpc)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _carried(self, body: bytes, call: Any) -> bytes:
        """The body as the SDK can read it without loss."""
        if has_mark(body, call):
            raise Refused(
                400, f"a text holds {MARK.encode('unicode_escape').decode()}, which is kept for our own use"
            )
        try:
            return json.dumps(call, ensure_ascii=False).encode() if carry(call) else body
        except BadPart as error:
            raise Refused(400, str(error), call) from None


def answer_to(refused: Refused, *, rpc: bool) -> JSONResponse:
    """The refusal in the words of JSON-RPC or of the REST binding."""
    if not rpc:
        kind = InvalidRequestError if refused.call is None else InvalidParamsError
        payload = build_rest_error_payload(kind(str(refused)))
        payload["error"]["code"] = refused.status
        return JSONResponse(payload, status_code=refused.status)
    if refused.call is not None:
        return JSONResponse(build_error_response(id_of(refused.call), InvalidParamsError(str(refused))))
    error: JSONRPCError = RpcInvalidRequest(message=str(refused))
    if refused.status == 400:
        error = JSONParseError(message=str(refused))
    # JSON-RPC tells its errors in an answer that, for HTTP, went well.
    status = 200 if refused.status == 400 else refused.status
    return JSONResponse(build_error_response(None, error), status_code=status)


def id_of(call: Any) -> str | int | None:
    """The id that a JSON-RPC call may be answered under."""
    call_id = call.get("id") if isinstance(call, dict) else None
    return call_id if isinstance(call_id, str | int) and not isinstance(call_id, bool) else None


async def _read(receive: Receive) -> bytes | None:
    """The body; `None` when the caller went away in the middle of it."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def check_media_type(content_type: str) -> None:
    """Raises `Refused` for anything that is not JSON."""
    if not _JSON_TYPE.fullmatch(content_type.partition(";")[0].strip()):
        raise Refused(415, "Content-Type must be application/json")


def check_body(body: bytes, *, objects_only: bool) -> Any:
    """Return the JSON in the body. Raises `Refused` when there is none, or such that no answer could repeat it."""
    try:
        value = parse_json(body, DEEPEST_NESTING)
    except BadJson as error:
        raise Refused(400, f"the body is refused: {error.reason}") from None
    if objects_only and not isinstance(value, dict):
        raise Refused(400, "the body must be a JSON object")
    if _HALF_A_PAIR.search(body):
        _check_text(value)
    return value


def _check_text(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refused(400, "a text holds half of a surrogate pair, which is not Unicode") from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """What was read already, and then whatever the server has to say: that the caller went away."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again
