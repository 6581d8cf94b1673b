"""Who may use the admin API: whoever has the token, or, without one, whoever is on this machine."""

import logging
from collections.abc import Iterable

from starlette.requests import Request

from admin_api.errors import Unauthorized
from groundwork.http.bearer import bearer_token
from groundwork.http.hosts import OwnHosts
from groundwork.http.known_tokens import KnownTokens
from groundwork.telemetry.logs import field_of

logger = logging.getLogger(__name__)

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Admission:
    """Lets a request in, or raises `Unauthorized` or `HeaderRefused`.

    With a token, the token decides alone: a browser adds no `Authorization` header by itself. Without one, the
    request has to be one that no other site's page could have made (see `groundwork.http.hosts`).
    """

    def __init__(self, token: str | KnownTokens, allowed_hosts: Iterable[str]) -> None:
        given = {token: "ADMIN_TOKEN"} if isinstance(token, str) and token else {}
        self._tokens = token if isinstance(token, KnownTokens) else KnownTokens(given)
        self._own_hosts = OwnHosts(allowed_hosts, setting="ADMIN_ALLOWED_HOSTS")

    @property
    def needs_token(self) -> bool:
        return bool(self._tokens)

    def check(self, request: Request) -> None:
        if self._tokens:
            self._check_token(request)
        else:
            self._own_hosts.check(request)

    def _check_token(self, request: Request) -> None:
        given = bearer_token(request.scope)
        if given is None:
            raise Unauthorized("this API needs the header Authorization: Bearer <ADMIN_TOKEN>")
        if (name := self._tokens.find_name(given)) is None:
            raise Unauthorized("the bearer token is not one that this agent was given as ADMIN_TOKEN")
        if request.method not in _READING:
            path = field_of("path", request.url.path)
            logger.info("admin call admitted %s method=%s %s", field_of("token", name), request.method, path)
