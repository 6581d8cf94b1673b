"""Requests to addresses that others have named: bounded in time, size, redirects, and in where they may go."""

import asyncio
import ipaddress
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from groundwork.outgoing.urls import split_url

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Not of the public internet, whatever Python's own table says: it differs from release to release.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by a provider's customers
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, which hands out certificates and settings
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments, Oracle's metadata among them
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, and reserved
        "100::/64",  # discard only
        "2001::/23",  # protocol assignments, Teredo and ORCHID among them
        "2001:db8::/32",
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",  # site-local
        "ff00::/8",
    )
)

# Where another address is wrapped into an IPv6 one: the network, and how far from the right its 32 bits are.
_WRAPPING = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible, long out of use
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)

# Wrapping too, but with the address in disguise or in a place that the network's owner chooses.
_NEVER = (
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 with a local prefix
)

# What may follow a redirect to another origin: nothing that a caller could have put a secret into.
_HARMLESS_HEADERS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})


@dataclass(frozen=True)
class OutgoingPolicy:
    """How far a request may go. `timeout_seconds` bounds it as a whole, redirects included; `max_bytes` the
    body as it is read and as it is unpacked.

    With `deny_private_networks`, only addresses of the public internet are connected to, whatever a name
    resolves to; `allowed_hosts` are the names (or literal addresses) for which that does not hold.
    """

    timeout_seconds: float = 10.0
    max_bytes: int = 1024 * 1024
    max_redirects: int = 3
    deny_private_networks: bool = False
    allowed_hosts: tuple[str, ...] = ()

    def denies(self, host: str) -> bool:
        """Whether the addresses of `host` have to be looked at."""
        allowed = {name.lower() for name in self.allowed_hosts}
        return self.deny_private_networks and host.lower() not in allowed


@dataclass(frozen=True)
class Fetched:
    """An answer, read to its end. `url` is where it came from, after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class FetchFailed(Exception):
    """The request got no answer that can be used; the message names the host, and no secret."""


class InvalidUrl(FetchFailed):
    """Not an absolute http or https URL without credentials."""


class AddressRefused(FetchFailed):
    """The host has an address in a network that requests may not go to."""


class ResponseTooLarge(FetchFailed):
    pass


class TooManyRedirects(FetchFailed):
    pass


class FetchTimedOut(FetchFailed):
    pass


class Unreachable(FetchFailed):
    """No connection, or one that broke or made no sense."""


@cache
def certificates() -> ssl.SSLContext:
    """What servers are believed by; one for the process, since reading it takes 30 ms for each client."""
    return httpx.create_ssl_context()


class HttpClient(httpx.AsyncClient):
    """Raises `httpx.ConnectError`, too, where a connection is reset as soon as it is made."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        try:
            return await super().send(request, **options)
        except AttributeError as error:
            # On uvloop, anyio then asks a socket that is gone for its peer.
            if error.obj is not None or error.name != "getpeername":
                raise
            raise httpx.ConnectError("the connection was reset at once", request=request) from error


def open_client(policy: OutgoingPolicy) -> httpx.AsyncClient:
    """A client for `fetch`, to be used as a context manager; it keeps no cookies and follows nothing by itself.

    Where private networks are denied it connects directly and disregards the environment's proxies: behind a
    proxy, nobody here could tell what it connects to.
    """
    return HttpClient(
        transport=CheckingTransport(policy) if policy.deny_private_networks else None,
        verify=certificates(),
        timeout=policy.timeout_seconds,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


async def fetch(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    policy: OutgoingPolicy,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> Fetched:
    """Sends a request and reads the answer within the bounds of `policy`; `client` comes from `open_client` with
    the same policy.

    Redirects of a GET are followed, others are returned as they are; to another origin, only harmless headers go
    along. Raises a `FetchFailed`.
    """
    target = check_url(url)
    sent = httpx.Headers(headers)
    sent["Accept-Encoding"] = "gzip"  # what can be unpacked within a bound
    try:
        async with asyncio.timeout(policy.timeout_seconds):
            for _ in range(policy.max_redirects + 1):
                async with client.stream(method, target, headers=sent, content=content) as response:
                    if method != "GET" or not response.has_redirect_location:
                        body = await _read(response, policy.max_bytes)
                        return Fetched(response.status_code, response.headers, body, str(target))
                    origin, target = target, _redirect_target(response)
                if _origin(target) != _origin(origin):
                    sent = httpx.Headers({key: sent[key] for key in sent if key in _HARMLESS_HEADERS})
    except (TimeoutError, httpx.TimeoutException):
        raise FetchTimedOut(f"{target.host} did not answer within {policy.timeout_seconds:g} seconds") from None
    except httpx.ConnectError as error:
        raise Unreachable(f"cannot connect to {target.host}: {error}") from error
    except httpx.HTTPError as error:
        # Not the error's text: it may quote a header that was sent.
        raise Unreachable(f"the exchange with {target.host} broke off ({type(error).__name__})") from error
    raise TooManyRedirects(f"{target.host}: more than {policy.max_redirects} redirects")


async def check_address_allowed(url: str, policy: OutgoingPolicy) -> None:
    """Raises the `FetchFailed` that a request to `url` would end in before it connects; for saying no early.

    It does not replace the check at the time of the request: the name may resolve to something else by then.
    """
    target = check_url(url)
    if policy.denies(target.host):
        try:
            async with asyncio.timeout(policy.timeout_seconds):
                await _resolve(target)
        except TimeoutError:
            raise FetchTimedOut(f"the name {target.host} was not resolved in time") from None


class CheckingTransport(httpx.AsyncBaseTransport):
    """Resolves names itself and connects to the very address it has looked at, so that a name cannot resolve to
    something harmless first and to something else afterwards."""

    def __init__(self, policy: OutgoingPolicy) -> None:
        self._policy = policy
        # Connections are not kept: they would be known by address, and one that was made, and whose certificate
        # was checked, for one name could serve another name of the same address.
        no_keepalive = httpx.Limits(max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=certificates(), limits=no_keepalive)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._policy.denies(request.url.host):
            return await self._inner.handle_async_request(request)
        failure: httpx.TransportError | None = None
        for address in await _resolve(request.url):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,  # with the Host header of the name
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error  # nothing has been sent; the next address may do
        raise failure or httpx.ConnectError("the name has no address")

    async def aclose(self) -> None:
        await self._inner.aclose()


def check_url(url: str) -> httpx.URL:
    """Raises `InvalidUrl`."""
    try:
        split_url(url)
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise InvalidUrl("not a valid URL") from None
    except ValueError as error:
        raise InvalidUrl(f"a URL {error}") from None
    return _check_parts(parsed)


def _check_parts(url: httpx.URL) -> httpx.URL:
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidUrl("a URL must be absolute, begin with http:// or https://, and name a host")
    if url.port is not None and not 0 < url.port < 65536:
        raise InvalidUrl(f"a port is a number from 1 to 65535 ({url.host})")
    if url.userinfo:
        raise InvalidUrl(f"a URL must not contain credentials ({url.host})")
    return url


def _redirect_target(response: httpx.Response) -> httpx.URL:
    try:
        return _check_parts(response.request.url.join(response.headers["Location"]))
    except (httpx.InvalidURL, UnicodeError):
        raise InvalidUrl(f"{response.request.url.host} redirects to something that is not a URL") from None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


async def _resolve(url: httpx.URL) -> list[_Address]:
    """The addresses behind `url`. Raises `AddressRefused` when even one of them is not public: a name that mixes
    them is up to something."""
    host = url.raw_host.decode("ascii")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"the name {url.host} cannot be resolved") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not all(map(is_public, addresses)):
        raise AddressRefused(f"{url.host} is, or resolves to, an address in a private or reserved network")
    return list(dict.fromkeys(addresses))


def is_public(address: _Address) -> bool:
    """Whether `address` is one of the public internet, also after unwrapping."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _NEVER):
            return False
        for network, shift in _WRAPPING:
            if address in network:
                return is_public(ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF))
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    return address.is_global and not (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    """The body, unpacked here rather than by httpx, which unpacks without a bound."""
    host = response.request.url.host
    body = bytearray()
    async for chunk in unpacked(response, max_bytes + 1):
        body += chunk
        if len(body) > max_bytes:
            raise ResponseTooLarge(f"{host} answered with more than {max_bytes} bytes")
    return bytes(body)


async def unpacked(response: httpx.Response, max_bytes: int) -> AsyncIterator[bytes]:
    """The body in pieces, of which none unpacks to more than `max_bytes`. Raises `Unreachable` for one that was
    packed in another way than with gzip, or not well."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        async for chunk in response.aiter_raw():
            yield chunk
    elif encoding in ("gzip", "x-gzip", "deflate"):
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: find out whether it is gzip or zlib
        try:
            async for chunk in response.aiter_raw():
                yield unpacker.decompress(chunk, max_bytes)
                while unpacker.unconsumed_tail:
                    yield unpacker.decompress(unpacker.unconsumed_tail, max_bytes)
        except zlib.error as error:
            raise Unreachable(f"{response.request.url.host} sent a body that cannot be unpacked") from error
    else:
        raise Unreachable(f"{response.request.url.host} sent a body packed in a way that was not asked for")
