"""Who may use the admin API: whoever has the token, or, without one, whoever is on this machine, and whoever the
agent's registry lets in."""

import logging
from collections.abc import Iterable
from typing import Protocol

from starlette.requests import Request

from admin_api.errors import RoleRefused, Unauthorized
from agent_runtime.registry_link.trust import TokenRefused
from groundwork.http.admin_calls import ACTOR, API_ROOT, ROLES_FOR, Actor, access_of
from groundwork.http.bearer import bearer_token
from groundwork.http.hosts import OwnHosts
from groundwork.http.known_tokens import KnownTokens
from groundwork.telemetry.logs import field_of

logger = logging.getLogger(__name__)

_UNKNOWN = "the bearer token is not one that this agent was given as ADMIN_TOKEN"
_DOTS_IN_A_JWT = 2


class Trust(Protocol):
    async def identify(self, token: str, method: str, target: str) -> Actor:
        """Return who makes a call that came by the registry. Raises `TokenRefused`."""
        ...


class Admission:
    """Lets a request in, or raises `Unauthorized`, `RoleRefused` or `HeaderRefused`.

    With a token, the token decides alone: a browser adds no `Authorization` header by itself. Without one, the
    request has to be one that no other site's page could have made (see `groundwork.http.hosts`).
    """

    def __init__(self, token: str | KnownTokens, allowed_hosts: Iterable[str], trust: Trust | None = None) -> None:
        given = {token: "ADMIN_TOKEN"} if isinstance(token, str) and token else {}
        self._tokens = token if isinstance(token, KnownTokens) else KnownTokens(given)
        self._own_hosts = OwnHosts(allowed_hosts, setting="ADMIN_ALLOWED_HOSTS")
        self._trust = trust

    @property
    def needs_token(self) -> bool:
        return bool(self._tokens)

    async def check(self, request: Request) -> None:
        given = bearer_token(request.scope)
        name = self._tokens.find_name(given) if given is not None else None
        if name is not None:
            actor = Actor(name)
        elif given is not None and self._trust is not None and given.count(b".") == _DOTS_IN_A_JWT:
            actor = await _identify(request, given.decode("latin-1"), self._trust)
        elif not self._tokens:
            self._own_hosts.check(request)
            actor = Actor("local")
        elif given is None:
            raise Unauthorized("this API needs the header Authorization: Bearer <ADMIN_TOKEN>")
        else:
            raise Unauthorized(_UNKNOWN)
        request.scope[ACTOR] = actor
        if self._tokens or actor.tenant_id is not None:
            _log_admitted(request, actor)


async def _identify(request: Request, token: str, trust: Trust) -> Actor:
    path: str = (request.scope.get("raw_path") or request.scope["path"].encode()).decode("latin-1")
    query: str = request.scope["query_string"].decode("latin-1")
    try:
        actor = await trust.identify(token, request.method, path + (f"?{query}" if query else ""))
    except TokenRefused as refusal:
        logger.warning("call by the registry refused method=%s: %s", request.method, refusal)
        raise Unauthorized(f"{_UNKNOWN}, nor one of its registry: {refusal}") from None
    roles = ROLES_FOR[access_of(request.method, path.partition(API_ROOT)[2])]
    if actor.role not in roles:
        raise RoleRefused(f"insufficient role: {' or '.join(roles)} required")
    return actor


def _log_admitted(request: Request, actor: Actor) -> None:
    if access_of(request.method, "") == "read":
        return
    who = field_of("token", actor.name) if actor.tenant_id is None else _person(actor)
    logger.info("admin call admitted %s method=%s %s", who, request.method, field_of("path", request.url.path))


def _person(actor: Actor) -> str:
    fields = {"actor": actor.name, "role": actor.role, "tenant_id": actor.tenant_id}
    return " ".join(field_of(name, value) for name, value in fields.items())
