"""The agent's A2A routes: JSON-RPC at the root, HTTP+JSON below `/a2a`, and the card."""

import logging
from collections.abc import Callable, Mapping, Sequence

from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.routes import create_agent_card_routes, create_rest_routes
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.types import AgentCard
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from agent_runtime.a2a_server.body_checks import JsonGuard, Refused, answer_to
from agent_runtime.a2a_server.callers import CallerTokens
from agent_runtime.a2a_server.card import CARD_CACHE_CONTROL, CARD_PATHS, REST_PREFIX, Dated, card_at
from agent_runtime.a2a_server.exact import ExactNumbers
from agent_runtime.a2a_server.limits import RetryAfter, answer_for_now
from agent_runtime.a2a_server.protocol_03 import Protocol03
from groundwork.http.asgi import BodyLimit, BodyTotal
from groundwork.http.hosts import OwnHosts
from groundwork.http.known_tokens import KnownTokens

RPC_PATH = "/"

# These log every malformed request as an error, with a traceback and pieces of what was sent: a stranger could
# fill the log. What is wrong on our side is logged by `edge`.
for _name in ("a2a.server.routes.jsonrpc_dispatcher", "a2a.compat.v0_3.jsonrpc_adapter"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def add_a2a_routes(
    app: FastAPI,
    handler: RequestHandler,
    card: AgentCard,
    *,
    current_url: Callable[[], str],
    callers: KnownTokens | Mapping[str, str],
    own_hosts: OwnHosts,
    max_body_bytes: int,
    shutdown_grace_seconds: float = 0,
) -> None:
    """Adds the routes to `app`; a lifespan may do it, before its `yield`.

    `current_url` is asked at each request for the card. `callers` are tokens and whose they are; the card is
    public in any case. Without any, requests have to name this agent (see `OwnHosts`).
    Streams get `shutdown_grace_seconds` to end by themselves when the server stops.
    """
    known = callers if isinstance(callers, KnownTokens) else KnownTokens(callers)
    # First of all routes, because it is what most requests are for and routes are tried in their order.
    total = BodyTotal()
    rpc, rest = (_door(known, own_hosts, max_body_bytes, total, rpc=rpc) for rpc in (True, False))
    app.router.routes[:0] = _rpc_routes(handler, rpc, shutdown_grace_seconds)
    app.router.routes.extend(
        [
            *_card_routes(card, current_url),
            *_rest_routes(handler, rest, shutdown_grace_seconds),
        ]
    )
    # A redirect from /x/ to /x would repeat a POST without its body's guarantees, and hides typing errors.
    app.router.redirect_slashes = False


def _door(
    callers: KnownTokens, own_hosts: OwnHosts, max_body_bytes: int, total: BodyTotal, *, rpc: bool
) -> list[Middleware]:
    """What stands before the protocol, from the outside in."""

    def refuse(scope: Scope, limit: int) -> Response:
        return answer_to(Refused(413, f"the body is larger than {limit} bytes"), rpc=rpc)

    return [
        Middleware(RetryAfter),
        Middleware(ExactNumbers),
        Middleware(CallerTokens, callers=callers, own_hosts=own_hosts),
        Middleware(
            BodyLimit,
            limit_for=lambda scope: max_body_bytes,
            refuse=refuse,
            total=total,
            refuse_for_now=lambda scope: answer_for_now(rpc=rpc),
        ),
        Middleware(JsonGuard, rpc=rpc),
    ]


def _card_routes(card: AgentCard, current_url: Callable[[], str]) -> list[BaseRoute]:
    modifier, dated = card_at(current_url), Dated()
    made = (create_agent_card_routes(card, modifier, path, CARD_CACHE_CONTROL) for path in CARD_PATHS)
    return [Route(route.path, dated.wrap(route.endpoint), methods=["GET"]) for routes in made for route in routes]


def _rpc_routes(handler: RequestHandler, door: Sequence[Middleware], grace: float) -> list[BaseRoute]:
    dispatcher = JsonRpcDispatcher(handler, enable_v0_3_compat=True, shutdown_grace_period=grace)
    dispatcher._v03_adapter = Protocol03(handler, shutdown_grace_period=grace)  # it takes none from outside
    return [Route(RPC_PATH, dispatcher.handle_requests, methods=["POST"], middleware=door)]


def _rest_routes(handler: RequestHandler, door: Sequence[Middleware], grace: float) -> list[BaseRoute]:
    made = create_rest_routes(handler, path_prefix=REST_PREFIX, shutdown_grace_period=grace)
    # The SDK also mounts everything below /{tenant} at the root, where it would swallow every unknown path.
    return [
        Route(route.path, route.endpoint, methods=sorted(route.methods or ()), middleware=door)
        for route in made
        if isinstance(route, Route)
    ]
