"""What a caller is told when the agent has as much to do as it can: at once, and with when to come again."""

import functools
import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from a2a.server.jsonrpc_models import JSONRPCError
from a2a.server.request_handlers.response_helpers import EXCEPTION_MAP, build_error_response
from a2a.utils.error_handlers import build_rest_error_payload
from a2a.utils.errors import (
    A2A_ERROR_MAPPING,
    A2A_ERROR_REASONS,
    JSON_RPC_ERROR_CODE_MAP,
    A2AError,
    ErrorMapping,
)
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_runtime.a2a_server.card import REST_PREFIX
from agent_runtime.errors import AgentBusy
from groundwork.http.load import RETRY_SECONDS

Method = TypeVar("Method", bound=Callable[..., Any])


_TOO_MUCH = str(AgentBusy())
_MESSAGES = frozenset({f"{REST_PREFIX}/message:send", f"{REST_PREFIX}/message:stream"})
_SENDING = frozenset({"SendMessage", "SendStreamingMessage", "message/send", "message/stream"})
_WORDS = tuple(f'"{method}"'.encode() for method in _SENDING)


class Overloaded(A2AError):
    """The protocol has no error for it: this is the first of the codes that JSON-RPC leaves to servers."""

    message = "The agent is busy"

    def __init__(self, message: str, retry_seconds: int = RETRY_SECONDS) -> None:
        super().__init__(message, {"retryAfterSeconds": str(retry_seconds)})
        self.retry_seconds = retry_seconds


class Stopping(Overloaded):
    """The process is on its way out; another one, or the next, answers."""

    message = "The agent is shutting down"


class Paused(Overloaded):
    """The agent's operators have paused it."""

    message = "The agent is paused"


class TooMuchOfOne(Overloaded):
    """The caller takes more than its share; others are served."""

    message = "The caller has too much in hand"


# The SDK looks up here what an error is in each of the bindings.
for _kind, _reason, _status, _name in (
    (Overloaded, "OVERLOADED", 503, "UNAVAILABLE"),
    (Stopping, "STOPPING", 503, "UNAVAILABLE"),
    (Paused, "PAUSED", 503, "UNAVAILABLE"),
    (TooMuchOfOne, "RESOURCE_EXHAUSTED", 429, "RESOURCE_EXHAUSTED"),
):
    JSON_RPC_ERROR_CODE_MAP[_kind] = -32000
    EXCEPTION_MAP[_kind] = JSONRPCError
    A2A_ERROR_MAPPING[_kind] = ErrorMapping(_status, _name, _reason)
    A2A_ERROR_REASONS[_kind] = _reason


def brief(method: Method) -> Method:
    """For a method that is soon answered: as many of these go on at a time as the `load` of its object allows."""

    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.load.one_more():
            return await method(self, *args, **kwargs)

    return cast("Method", call)


def answer_for_now(*, rpc: bool) -> Response:
    """Return what a call is told for which there is no room, before anybody has read it."""
    error = Overloaded(_TOO_MUCH)
    payload = build_error_response(None, error) if rpc else build_rest_error_payload(error)
    return Response(json.dumps(payload), 503, media_type="application/json")


@dataclass
class _Refusal:
    error: Overloaded | None = None


# Set for each request; what the handler notes in it is seen here, whichever task of the SDK's it runs in.
_refusal: ContextVar[_Refusal | None] = ContextVar("_refusal", default=None)


def note_refusal(error: Overloaded) -> Overloaded:
    """Return the error; the answer to the request that is refused with it has its status and header, too."""
    if (refusal := _refusal.get()) is not None:
        refusal.error = error
    return error


class RetryAfter:
    """Says in the header, too, when to come again, and in the status that a caller has more than its share: in
    JSON-RPC any error is 200 otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _Refusal()
        _refusal.set(refusal)

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                error = refusal.error
                if isinstance(error, TooMuchOfOne) and message["status"] == 200:
                    message["status"] = 429
                if message["status"] in (429, 503):
                    seconds = error.retry_seconds if error else RETRY_SECONDS
                    MutableHeaders(scope=message)["Retry-After"] = str(seconds)
            await send(message)

        await self.app(scope, receive, send_with_header)


class Shedding:
    """While `is_full`, refuses messages before anything else is done about them: what a refusal costs is taken
    from the turns that are to be finished. Other calls go on, and so does what is no message at a glance."""

    def __init__(self, app: ASGIApp, is_full: Callable[[], bool], refused: Callable[[], None]) -> None:
        self.app = app
        self._is_full = is_full
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not self._is_full():
            await self.app(scope, receive, send)
            return
        refusal, receive = await _refusal_of(scope, receive)
        if refusal is None:
            await self.app(scope, receive, send)
            return
        self._refused()
        response = Response(refusal, 503, {"Retry-After": str(RETRY_SECONDS)}, "application/json")
        await response(scope, receive, send)


async def _refusal_of(scope: Scope, receive: Receive) -> tuple[bytes | None, Receive]:
    """What is answered to a message; None when it is none."""
    if scope["path"] in _MESSAGES:
        return json.dumps(build_rest_error_payload(Overloaded(_TOO_MUCH))).encode(), receive
    if scope["path"] != "/":
        return None, receive
    message = await receive()
    body = message.get("body", b"")
    if message.get("more_body") or not any(word in body for word in _WORDS):
        return None, _with(message, receive)
    try:
        call = json.loads(body)
        is_message, call_id = call["method"] in _SENDING, call.get("id")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None, _with(message, receive)
    if not is_message:
        return None, _with(message, receive)
    return json.dumps(build_error_response(call_id, Overloaded(_TOO_MUCH))).encode(), receive


def _with(message: Message, receive: Receive) -> Receive:
    """The message that was taken already, and then whatever comes."""
    taken = [message]

    async def again() -> Message:
        return taken.pop() if taken else await receive()

    return again
