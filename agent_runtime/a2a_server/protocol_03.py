"""Protocol 0.3 over JSON-RPC: the SDK's adapter, with the errors and answers that 0.3 asks for."""

import logging
from collections.abc import Sequence
from typing import Any

from a2a.compat.v0_3 import conversions
from a2a.compat.v0_3.jsonrpc_adapter import JSONRPC03Adapter
from a2a.server.context import ServerCallContext
from a2a.server.jsonrpc_models import JSONRPCError
from a2a.utils.errors import A2AError, InternalError, InvalidParamsError
from google.protobuf.json_format import ParseError
from pydantic import ValidationError
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse

logger = logging.getLogger(__name__)

_SENDING = frozenset({"message/send", "message/stream"})
_GET_PUSH, _DELETE_PUSH = "tasks/pushNotificationConfig/get", "tasks/pushNotificationConfig/delete"
_MOST_PROBLEMS = 3

_ACCEPTED = {
    "missing": "is missing",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be an array",
}
"""What is accepted, by the kind of Pydantic's error."""


class Protocol03(JSONRPC03Adapter):
    """Answers the methods of protocol 0.3."""

    async def handle_request(
        self, request_id: str | int | None, method: str, body: dict[str, Any], request: Request
    ) -> JSONResponse | EventSourceResponse:
        """Return the answer to a call, or the stream of them."""
        try:
            call: Any = self.METHOD_TO_MODEL[method].model_validate(body)
            if method in _SENDING:
                conversions.to_core_send_message_request(call)
        except ValidationError as error:
            return self._generate_error_response(request_id, InvalidParamsError(_problems(error)))
        except (ParseError, ValueError, TypeError, LookupError):
            refusal = InvalidParamsError("params.message cannot be read: a data part must be an object")
            return self._generate_error_response(request_id, refusal)
        return await super().handle_request(request_id, method, body, request)

    async def _process_non_streaming_request(
        self, request_id: str | int | None, request_obj: Any, context: ServerCallContext
    ) -> JSONResponse:
        if request_obj.method == _GET_PUSH and not getattr(
            request_obj.params, "push_notification_config_id", None
        ):
            # In 0.3 a config that was set without an id of its own has that of its task.
            request_obj = _asking_for_its_only(request_obj)
        answer = await super()._process_non_streaming_request(request_id, request_obj, context)
        if request_obj.method == _DELETE_PUSH:
            return JSONResponse({"jsonrpc": "2.0", "id": request_id, "result": None})
        return answer

    def _generate_error_response(
        self, request_id: str | int | None, error: Exception | JSONRPCError
    ) -> JSONResponse:
        if not isinstance(error, A2AError):
            # The handler lets nothing else out, so it is the SDK's own, and its text is not for callers.
            logger.error("A2A call crashed protocol=0.3: %s", type(error).__name__)
            error = InternalError()
        return super()._generate_error_response(request_id, error)


def _asking_for_its_only(call: Any) -> Any:
    params = {"id": call.params.id, "pushNotificationConfigId": call.params.id}
    return type(call).model_validate({"id": call.id, "jsonrpc": "2.0", "method": call.method, "params": params})


def _problems(error: ValidationError) -> str:
    """What is wrong with the parameters, by their names on the wire."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    said = dict.fromkeys(f"{_path(one['loc'])} {_accepted(one)}" for one in _of_the_kind_meant(errors))
    return "; ".join(list(said)[:_MOST_PROBLEMS])


def _of_the_kind_meant(errors: Sequence[Any]) -> Sequence[Any]:
    """A part is tried as each kind there is: only what is wrong with it as the kind that it names is told. Where
    it names none, all that is told is that it must."""
    others = {_variant(one["loc"]) for one in errors if one["loc"][-1] == "kind"}
    meant = [one for one in errors if _variant(one["loc"]) not in others or _variant(one["loc"]) is None]
    return meant or [one for one in errors if one["loc"][-1] == "kind"]


def _variant(location: Sequence[str | int]) -> tuple[str | int, ...] | None:
    """Up to which variant of a union a location leads: those are named by their classes."""
    at = [number for number, step in enumerate(location) if isinstance(step, str) and step[:1].isupper()]
    return tuple(location[: at[-1] + 1]) if at else None


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step[:1].isupper():
            path += f".{step}" if path else step
    return path


def _accepted(error: Any) -> str:
    kind, message = error["type"], str(error["msg"])
    if error["loc"][-1] == "kind":
        return 'must be "text", "file" or "data"'
    if kind in ("literal_error", "enum"):
        return "must be " + message.removeprefix("Input should be ").replace("'", '"')
    return _ACCEPTED.get(kind, message[:1].lower() + message[1:])
