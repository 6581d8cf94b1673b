"""Who may use the admin API: whoever has the token, or, without one, whoever is on this machine."""

import hmac
from collections.abc import Iterable

from starlette.requests import Request

from admin_api.errors import Unauthorized
from groundwork.bearer import bearer_token
from groundwork.hosts import OwnHosts


class Admission:
    """Lets a request in, or raises `Unauthorized` or `HeaderRefused`.

    With a token, the token decides alone: a browser adds no `Authorization` header by itself. Without one, the
    request has to be one that no other site's page could have made (see `groundwork.hosts`).
    """

    def __init__(self, token: str, allowed_hosts: Iterable[str]) -> None:
        self._token = token.encode()
        self._own_hosts = OwnHosts(allowed_hosts, setting="ADMIN_ALLOWED_HOSTS")

    @property
    def needs_token(self) -> bool:
        return bool(self._token)

    def check(self, request: Request) -> None:
        if self._token:
            self._check_token(request)
        else:
            self._own_hosts.check(request)

    def _check_token(self, request: Request) -> None:
        given = bearer_token(request)
        if given is None:
            raise Unauthorized("this API needs the header Authorization: Bearer <ADMIN_TOKEN>")
        if not hmac.compare_digest(given, self._token):
            raise Unauthorized("the bearer token is not the one this agent was given as ADMIN_TOKEN")
