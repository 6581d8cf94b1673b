"""What routes depend on: the registry, who is asking, and what they sent.

A route names who may call it by the type of its `principal`: `Reader`, `Writer`, `Operator` or
`PlatformOperator`. It comes first, so that whoever may not call it learns nothing about what they sent.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel, TypeAdapter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from groundwork.http.bearer import bearer_token
from groundwork.http.idempotency import BadIdempotencyKey, read_idempotency_key
from groundwork.http.json_body import BadJson, parse_json
from registry.access import DEVELOPER, Principal
from registry.audit.models import RefusalKind
from registry.checks import check_query, check_value, refuse_unstorable_text
from registry.errors import Forbidden, InvalidRequest, RegistryError, Unauthenticated
from registry.repeats.models import RequestKey
from registry.runtime import Registry
from registry.sessions.models import LoggedIn
from registry.tokens.service import Bearer

Model = TypeVar("Model", bound=BaseModel)

BEARER = "registry.bearer"
"""Where it is kept whose request this is, so that it is looked up once."""

_CHANGES_NOTHING = ("GET", "HEAD", "OPTIONS")


async def get_registry(request: Request) -> Registry:
    registry: Registry = request.app.state.registry
    return registry


CurrentRegistry = Annotated[Registry, Depends(get_registry)]

# For the OpenAPI document only: it never refuses, `authenticate` does.
_IN_THE_DOCUMENT = HTTPBearer(auto_error=False, scheme_name="token", description="A token of the registry")


async def authenticate(
    request: Request, registry: CurrentRegistry, _: Annotated[object, Depends(_IN_THE_DOCUMENT)]
) -> Principal:
    return await identify(request, registry)


async def identify(request: Request, registry: Registry) -> Principal:
    """Who makes the request. Raises `Unauthenticated`, `Forbidden` and `HeaderRefused`."""
    if registry.settings.jamjet_dev_mode:
        registry.own_hosts.check(request)
        request.state.principal = DEVELOPER
        return DEVELOPER
    token = bearer_token(request.scope)
    if token is None:
        return await _identify_by_session(request, registry)
    bearer: Bearer = request.scope.get(BEARER) or await registry.tokens.identify(token)
    request.scope[BEARER] = bearer
    request.state.principal = bearer.principal
    request.state.is_let_in = bearer.refusal is None
    if bearer.refusal is not None:
        raise bearer.refusal
    return bearer.principal


async def identify_anew(request: Request, registry: Registry) -> Principal:
    """Who makes a request that has lasted for a while, whatever was found when it began. Raises as `identify`."""
    for found_before in (BEARER, _SESSION):
        request.scope.pop(found_before, None)
    return await identify(request, registry)


CONSOLE = "/console"
LOGIN = f"{CONSOLE}/login"
SESSION_COOKIE = "registry_session"
_SESSION = "registry.session"


async def _identify_by_session(request: Request, registry: Registry) -> Principal:
    """Let whoever is logged in at the console read: a page links to the JSON behind it, and follows events. What
    changes something needs a token, or a form of the console."""
    if request.method not in _CHANGES_NOTHING:
        raise Unauthenticated
    return (await identify_session(request, registry)).principal


async def identify_session(request: Request, registry: Registry) -> LoggedIn:
    """Who is logged in at the console. Raises `Unauthenticated` and `Forbidden`."""
    cookie = request.cookies.get(SESSION_COOKIE)
    if cookie is None:
        raise Unauthenticated
    logged_in: LoggedIn = request.scope.get(_SESSION) or await registry.sessions.identify(cookie)
    request.scope[_SESSION] = logged_in
    request.state.principal = logged_in.principal
    return logged_in


Reader = Annotated[Principal, Depends(authenticate)]


async def admit_writer(principal: Reader) -> Principal:
    principal.require_writer()
    return principal


async def admit_operator(principal: Reader) -> Principal:
    principal.require_operator()
    return principal


Writer = Annotated[Principal, Depends(admit_writer)]


async def admit_decider(principal: Reader, registry: CurrentRegistry) -> Principal:
    await registry.decisions.admit(principal)
    return principal


Decider = Annotated[Principal, Depends(admit_decider)]
Operator = Annotated[Principal, Depends(admit_operator)]


async def admit_platform_operator(principal: Operator) -> Principal:
    principal.require_platform_operator()
    return principal


PlatformOperator = Annotated[Principal, Depends(admit_platform_operator)]


class RegistryRoute(APIRoute):
    """A route whose refused writes are in the audit log, whichever check refused them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (Forbidden, Unauthenticated) as refusal:
                await record_refusal(await get_registry(request), request, refusal)
                raise

        return answer


async def record_refusal(registry: Registry, request: Request, refusal: RegistryError) -> None:
    """Counts it, and puts a refused write on record when it is known whose it was."""
    principal: Principal | None = getattr(request.state, "principal", None)
    kind: RefusalKind = "role" if getattr(request.state, "is_let_in", True) else "token"
    registry.metrics.access_refused("unknown" if principal is None else kind)
    if principal is not None and request.method not in _CHANGES_NOTHING:
        refusals = registry.audit.refusals
        await refusals.record(principal, kind, request.method, request.url.path, str(refusal))


async def read_bytes(request: Request) -> bytes:
    """The body as it is. Raises `InvalidRequest` when its sender goes away."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise InvalidRequest("the connection was closed before the body was complete") from None


async def read_json(request: Request) -> Any:
    """The body as JSON; None when there is none. Raises `InvalidRequest`."""
    data = await read_bytes(request)
    if not data.strip():
        return None
    try:
        value = parse_json(data)
    except BadJson as error:
        raise InvalidRequest(f"the body cannot be used: {error}") from None
    refuse_unstorable_text(value)
    return value


def body_of(model: type[Model], *, optional: bool = False) -> Any:
    """A dependency: the JSON object in the body as a `model`; with `optional`, no body is an empty object."""
    adapter = TypeAdapter(model)

    async def read(request: Request) -> Model:
        return await read_object(request, adapter, optional=optional)

    return Depends(read)


async def read_object(request: Request, adapter: TypeAdapter[Model], *, optional: bool = False) -> Model:
    """The JSON object in the body; with `optional`, no body is an empty object. Raises `InvalidRequest`."""
    value = await read_json(request)
    if value is None and optional:
        value = {}
    if not isinstance(value, Mapping):
        raise InvalidRequest("the body must be a JSON object")
    return check_value(adapter, value)


def query_of(model: type[Model]) -> Any:
    """A dependency: the query string as a `model`. Unknown parameters and ones given twice are refused."""
    adapter = TypeAdapter(model)

    async def read(request: Request) -> Model:
        return check_query(adapter, request.query_params)

    return Depends(read)


async def request_key(request: Request, principal: Writer) -> RequestKey | None:
    """The key of a request that may be sent again, if its caller has named one. Raises `InvalidRequest`."""
    try:
        named = read_idempotency_key(request.headers.getlist("idempotency-key"))
    except BadIdempotencyKey as error:
        raise InvalidRequest(str(error)) from None
    if named is None:
        return None
    route = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return RequestKey.of(principal, f"{request.method} {route}", named, await read_json(request))


Once = Annotated[RequestKey | None, Depends(request_key)]
