"""The admin API as one router, for any FastAPI app."""

from collections.abc import AsyncIterator, Sequence
from copy import copy

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.requests import Request
from starlette.responses import Response

from admin_api import agent_id, card, decisions, exports, memory, registry, status, steps, storage, threads, turns
from admin_api.deps import AdministeredAgent, Administration
from admin_api.envelope import ok
from admin_api.errors import MethodNotAllowed, RouteNotFound, Unauthorized
from admin_api.openapi import failures
from admin_api.routes import ASKED_METHOD, METHODS_HERE, AdminRoute, RemainingRoute
from admin_api.security import Admission, Trust
from groundwork.http.known_tokens import KnownTokens
from groundwork.http.load import Load
from groundwork.http.openapi import operation_id

_MOST_REQUESTS = 200

LEGACY_PATHS = ("/status", "/internal/runtime-metadata", "/internal/reload")


def admin_router(
    agent: AdministeredAgent,
    *,
    token: str | KnownTokens = "",
    allowed_hosts: Sequence[str] = (),
    max_body_bytes: int = 1024 * 1024,
    load: Load | None = None,
    trust: Trust | None = None,
) -> APIRouter:
    """Every route of the admin API, for `app.include_router(...)`; the app's exception handlers are left alone.

    With a `token`, or several with names, each request needs one as a bearer token. Without one, only requests
    that name a loopback address or one of `allowed_hosts` are answered (see `admin_api.security`).

    With a `trust`, calls that come by the agent's registry are admitted too, for what their makers' roles allow.

    So many requests are answered at a time as `load` allows, by default 200; the others are told to come again.

    What lies below `/api/v1` and is not known here is answered with 404: an app that has routes of its own
    there includes this router after them, or under a prefix.
    """
    admission = Admission(token, allowed_hosts, trust)
    administration = Administration(agent, max_body_bytes)
    load = load or Load(_MOST_REQUESTS)

    async def admit(request: Request) -> AsyncIterator[None]:
        await admission.check(request)
        administration.enter(request)
        with load.one_more():
            yield

    router = APIRouter(
        route_class=AdminRoute, dependencies=[Depends(admit)], generate_unique_id_function=operation_id
    )
    # For the OpenAPI document only: it never refuses, `admit` does.
    router.dependencies.append(Depends(HTTPBearer(auto_error=False, scheme_name="ADMIN_TOKEN")))
    if token:
        router.responses.update(failures(Unauthorized))
    parts = [part.router for part in (status, card, memory, threads, steps, exports, turns, storage, agent_id)]
    if agent.decisions is not None:
        parts.append(decisions.router)
    if agent.runtime_control_enabled:
        parts.append(registry.router)
    for part in parts:
        router.include_router(part if token else _with_optional_token(part))
    for path in ("/api/v1", "/api/v1/{rest:path}", *LEGACY_PATHS):
        router.add_api_route(path, answer_the_rest, include_in_schema=False, route_class_override=RemainingRoute)
    return router


def _with_optional_token(part: APIRouter) -> APIRouter:
    """Say in the document that a token may be sent and need not be: clients that are made of it know both.

    The routes are copies, made before they are included: the newest FastAPI includes a router as a whole.
    """
    part = copy(part)
    part.routes = [copy(route) for route in part.routes]
    for route in part.routes:
        if isinstance(route, APIRoute):
            route.openapi_extra = {**(route.openapi_extra or {}), "security": [{}]}
    return part


async def answer_the_rest(request: Request) -> Response:
    """What no route above has taken: an unknown path, or a method that a known path does not have."""
    method = request.scope[ASKED_METHOD]
    methods = set(request.scope.get(METHODS_HERE, ()))
    if not methods:
        raise RouteNotFound(f"the admin API has no {request.url.path}")
    allowed = sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))
    if method == "OPTIONS":
        answer = ok({"methods": allowed})
        answer.headers["Allow"] = ", ".join(allowed)
        return answer
    raise MethodNotAllowed(method, allowed)
