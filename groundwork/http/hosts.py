"""Keeping other sites' pages out of an API that asks for no token, when a visitor's browser could reach it."""

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, ip_address

from starlette.requests import Request

_DEFAULT_PORTS = {"http": 80, "https": 443}


class HeaderRefused(Exception):
    """The request does not name us, or comes from another site's page; `field` is the header that says so."""

    def __init__(self, header: str, message: str) -> None:
        super().__init__(message)
        self.field = header


class OwnHosts:
    """The names under which a service may be called without a token.

    A page of another site must not reach the API through its visitor's browser, so the request has to name us in
    `Host` (against DNS rebinding) and come from one of our own pages if it comes from a page at all (against
    cross-site requests). Ours are loopback addresses, the address the connection arrived at, and `allowed`: names,
    or `name:port` for that port alone, and what `also` names at the moment. `setting` is where an operator adds
    one, for the message. Pages of `origins` are let in as well; `*` is every page.
    """

    def __init__(
        self,
        allowed: Iterable[str] = (),
        *,
        setting: str = "",
        also: Callable[[], Iterable[str]] = tuple,
        origins: Iterable[str] = (),
    ) -> None:
        self._origins = frozenset(origins)
        self._also = also
        self._allowed = {_parse_allowed(host) for host in allowed}
        self._accepted = "loopback addresses" + (f" and {setting}" if setting else "")

    def check(self, request: Request) -> None:
        """Raises `HeaderRefused`."""
        self._check_host(request)
        self._check_origin(request)

    def _check_host(self, request: Request) -> None:
        hosts = request.headers.getlist("host")
        if len(hosts) == 1 and self._is_ours(hosts[0], request):
            return
        raise HeaderRefused(
            "Host",
            f"the Host header does not name this server; accepted: {self._accepted}",
        )

    def _check_origin(self, request: Request) -> None:
        given = request.headers.getlist("origin")
        if given and ("*" in self._origins or self._origins.issuperset(given)):
            return
        for origin in given:
            if not self._is_own_origin(origin, request.headers["host"]):
                raise HeaderRefused(
                    "Origin",
                    f"the Origin header names another site; accepted: {self._accepted}",
                )
        if request.headers.get("sec-fetch-site", "").lower() == "cross-site":
            raise HeaderRefused("Sec-Fetch-Site", "the request comes from a page of another site")

    def _is_ours(self, host: str, request: Request) -> bool:
        name, port = _split(host)
        return is_loopback(name) or name == _address_of(request) or self._is_allowed(name, port)

    def _is_own_origin(self, origin: str, host: str) -> bool:
        if is_origin_of(origin, host):
            return True
        scheme, _, rest = origin.partition("://")
        usual_port = _DEFAULT_PORTS.get(scheme.lower())
        name, port = _split(rest)
        return usual_port is not None and self._is_allowed(name, port or usual_port)

    def _is_allowed(self, name: str, port: int | None) -> bool:
        if (name, None) in self._allowed or (port is not None and (name, port) in self._allowed):
            return True
        return bool(name) and name in self._also()


def is_origin_of(origin: str, host: str) -> bool:
    """Return whether a page of that `Origin` is of the server that is called `host`."""
    scheme, _, rest = origin.partition("://")
    usual_port = _DEFAULT_PORTS.get(scheme.lower())
    if usual_port is None:
        return False  # "null", and what is not of the web
    (name, port), (own_name, own_port) = _split(rest), _split(host)
    return name != "" and name == own_name and (port or usual_port) == (own_port or usual_port)


def _parse_allowed(host: str) -> tuple[str, int | None]:
    name, port = _split(f"[{host}]" if host.count(":") > 1 and "[" not in host else host)
    if not name:
        raise ValueError(f"{host!r} is not a host; accepted: a name or an address, with or without a port")
    return name, port


def _split(host: str) -> tuple[str, int | None]:
    """`Example.org.:8000` as `("example.org", 8000)`, `[::1]` as `("::1", None)`; nonsense matches nothing."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/@?#\\\s]+))(?::([0-9]{1,5}))?", host)
    if match is None:
        return ("", None)
    name = (match[1] or match[2]).lower().removesuffix(".")
    return (name, int(match[3]) if match[3] else None)


def is_loopback(name: str) -> bool:
    """Whether a host, by name or address, is this machine and nothing else."""
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _address_of(request: Request) -> str | None:
    """The address the connection came in at, when it is one: a name here could be the caller's own choice."""
    server = request.scope.get("server")
    try:
        address = ip_address(server[0]) if server else None
    except ValueError:
        return None
    # A socket for both families shows an IPv4 address as ::ffff:192.0.2.1, its callers do not.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
