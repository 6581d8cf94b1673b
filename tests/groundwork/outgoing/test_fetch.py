"""Outgoing requests stay within their bounds, against a real server that does its worst."""

import asyncio
import gzip
import ipaddress
import json
import socket
import time
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from groundwork.outgoing.fetch import (
    AddressRefused,
    Fetched,
    FetchFailed,
    FetchTimedOut,
    InvalidUrl,
    OutgoingPolicy,
    ResponseTooLarge,
    TooManyRedirects,
    Unreachable,
    check_address_allowed,
    fetch,
    is_public,
    open_client,
)
from tests.servers import run_server

POLICY = OutgoingPolicy(timeout_seconds=5, max_bytes=10_000, max_redirects=2)
CAREFUL = OutgoingPolicy(timeout_seconds=5, max_bytes=10_000, max_redirects=2, deny_private_networks=True)
ONLY_LOCAL_SERVER = OutgoingPolicy(5, 10_000, 2, deny_private_networks=True, allowed_hosts=("127.0.0.1",))

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one server for all of them


async def show(request: Request) -> Response:
    """The request as the server sees it."""
    seen = {"method": request.method, "headers": dict(request.headers), "body": (await request.body()).decode()}
    return JSONResponse(seen, headers={"Set-Cookie": "tracked=yes; Path=/"})


async def redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"], status_code=302)


async def count_down(request: Request) -> Response:
    left = int(request.path_params["left"])
    return RedirectResponse(f"/count/{left - 1}") if left else Response("arrived")


async def loop(_: Request) -> Response:
    return RedirectResponse("/loop")


async def body(request: Request) -> Response:
    return Response(b"x" * int(request.path_params["size"]))


async def endless(_: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0)  # so that the server notices when the client has gone

    return StreamingResponse(chunks())


async def slow(_: Request) -> Response:
    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b"."
            await asyncio.sleep(0.05)

    return StreamingResponse(drops())


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "br": bytes}


async def packed(request: Request) -> Response:
    """`size` zeros, packed as many times as there are encodings."""
    content = bytes(int(request.path_params["size"]))
    encodings = request.path_params["encodings"]
    for encoding in encodings.split(","):
        content = PACKERS[encoding](content)
    return Response(content, headers={"Content-Encoding": encodings})


async def broken(_: Request) -> Response:
    return Response(b"not gzip", headers={"Content-Encoding": "gzip"})


APP = Starlette(
    routes=[
        Route("/show", show, methods=["GET", "POST"]),
        Route("/redirect", redirect, methods=["GET", "POST"]),
        Route("/count/{left:int}", count_down),
        Route("/loop", loop),
        Route("/body/{size:int}", body),
        Route("/endless", endless),
        Route("/slow", slow),
        Route("/packed/{encodings}/{size:int}", packed),
        Route("/broken", broken),
    ]
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[str]:
    async with run_server(APP) as url:
        yield url


async def get(url: str, policy: OutgoingPolicy = POLICY, **options: Any) -> Fetched:
    async with open_client(policy) as client:
        return await fetch(client, options.pop("method", "GET"), url, policy=policy, **options)


async def test_an_answer_has_status_headers_body_and_the_url_it_came_from(server: str) -> None:
    answer = await get(f"{server}/body/3")
    assert (answer.status, answer.body, answer.url) == (200, b"xxx", f"{server}/body/3")
    assert answer.headers["Content-Length"] == "3"


async def test_headers_and_content_are_sent(server: str) -> None:
    answer = await get(f"{server}/show", method="POST", headers={"X-A": "b"}, content=b"hello")
    seen = json.loads(answer.body)
    assert (seen["method"], seen["headers"]["x-a"], seen["body"]) == ("POST", "b", "hello")


async def test_an_error_status_is_an_answer(server: str) -> None:
    assert (await get(f"{server}/nowhere")).status == 404


async def test_redirects_are_followed_as_far_as_allowed(server: str) -> None:
    answer = await get(f"{server}/count/2")
    assert (answer.body, answer.url) == (b"arrived", f"{server}/count/0")
    with pytest.raises(TooManyRedirects):
        await get(f"{server}/count/3")


async def test_a_redirect_loop_ends(server: str) -> None:
    with pytest.raises(TooManyRedirects, match=r"127\.0\.0\.1"):
        await get(f"{server}/loop")


async def test_a_redirected_post_is_not_sent_again(server: str) -> None:
    answer = await get(f"{server}/redirect?to=/show", method="POST", content=b"once")
    assert (answer.status, answer.headers["Location"]) == (302, "/show")


async def test_headers_of_the_caller_stay_with_the_origin_they_were_meant_for(server: str) -> None:
    secret = {"Authorization": "Bearer abc", "X-Api-Key": "def", "Accept": "text/plain"}
    same = await get(f"{server}/redirect?to=/show", headers=secret)
    assert json.loads(same.body)["headers"]["x-api-key"] == "def"

    elsewhere = server.replace("127.0.0.1", "localhost")
    other = await get(f"{server}/redirect?to={elsewhere}/show", headers=secret)
    seen = json.loads(other.body)["headers"]
    assert seen["accept"] == "text/plain"
    assert "authorization" not in seen
    assert "x-api-key" not in seen


async def test_cookies_are_not_kept(server: str) -> None:
    async with open_client(POLICY) as client:
        for _ in range(2):
            answer = await fetch(client, "GET", f"{server}/show", policy=POLICY)
            assert "cookie" not in json.loads(answer.body)["headers"]


async def test_a_body_may_be_as_large_as_allowed_and_no_larger(server: str) -> None:
    assert len((await get(f"{server}/body/10000")).body) == 10_000
    for path in ("/body/10001", "/endless"):
        with pytest.raises(ResponseTooLarge, match="10000 bytes"):
            await get(server + path)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_packed_bodies_are_unpacked_within_the_same_bound(server: str, encoding: str) -> None:
    assert (await get(f"{server}/packed/{encoding}/10000")).body == bytes(10_000)
    for size in (10_001, 50_000_000):
        with pytest.raises(ResponseTooLarge):
            await get(f"{server}/packed/{encoding}/{size}")


@pytest.mark.parametrize("path", ["/packed/gzip,gzip/1000", "/packed/br/10", "/broken"])
async def test_bodies_that_cannot_be_unpacked_safely_are_no_answer(server: str, path: str) -> None:
    with pytest.raises(Unreachable):
        await get(server + path)


async def test_a_body_that_comes_in_drops_does_not_outlast_the_deadline(server: str) -> None:
    began = time.monotonic()
    with pytest.raises(FetchTimedOut, match=r"127\.0\.0\.1 did not answer within 0\.3 seconds"):
        await get(f"{server}/slow", OutgoingPolicy(timeout_seconds=0.3))
    assert time.monotonic() - began < 2


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match=r"cannot connect to 127\.0\.0\.1"):
        await get(f"http://127.0.0.1:{port}/")
    with pytest.raises(Unreachable, match=r"nowhere\.invalid"):
        await get("http://nowhere.invalid/")
    with pytest.raises(Unreachable, match=r"nowhere\.invalid"):
        await get("http://nowhere.invalid/", CAREFUL)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/path",
        "ftp://host/",
        "file:///etc/passwd",
        "http://",
        "http:///x",
        "http://h:99999/",
        "http://a/\n",
    ],
)
async def test_only_absolute_http_urls_are_accepted(url: str) -> None:
    with pytest.raises(InvalidUrl):
        await get(url)
    with pytest.raises(InvalidUrl):
        await check_address_allowed(url, POLICY)


async def test_credentials_in_a_url_are_refused_without_being_repeated(server: str) -> None:
    for url in ("http://user:hunter2@example.org/", f"{server}/redirect?to=http://user:hunter2@example.org/"):
        with pytest.raises(InvalidUrl) as raised:
            await get(url)
        assert "hunter2" not in str(raised.value)


async def test_a_header_that_cannot_be_sent_is_not_repeated(server: str) -> None:
    with pytest.raises(FetchFailed) as raised:
        await get(server, headers={"Authorization": "Bearer hunter2\n"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("to", ["ftp://example.org/", "file:///etc/passwd", "http://[", "//"])
async def test_a_redirect_to_something_else_than_http_is_not_followed(server: str, to: str) -> None:
    with pytest.raises(FetchFailed):
        await get(f"{server}/redirect?to={to}")


LOOPBACK = ("127.0.0.1", "localhost", "LOCALHOST", "127.1", "2130706433", "0x7f000001", "0", "0.0.0.0")
PRIVATE_V4 = (
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
)
PRIVATE_V6 = (
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::10.0.0.1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fd00::1]",
)


@pytest.mark.parametrize("host", LOOPBACK + PRIVATE_V4 + PRIVATE_V6)
async def test_private_addresses_are_refused_however_they_are_written(host: str) -> None:
    url = f"http://{host}:8000/show"
    with pytest.raises(AddressRefused):
        await get(url, CAREFUL)
    with pytest.raises(AddressRefused):
        await check_address_allowed(url, CAREFUL)


async def test_private_addresses_are_fine_where_they_are_not_denied(server: str) -> None:
    await check_address_allowed(server, POLICY)
    assert (await get(server.replace("127.0.0.1", "localhost") + "/body/1")).body == b"x"


@pytest.mark.parametrize(
    "to", ["http://localhost:{port}/show", "http://169.254.169.254/", "http://[::1]:{port}/show"]
)
async def test_a_redirect_to_a_private_address_is_refused(server: str, to: str) -> None:
    target = to.format(port=server.rpartition(":")[2])
    with pytest.raises(AddressRefused):
        await get(f"{server}/redirect?to={target}", ONLY_LOCAL_SERVER)


async def test_allowed_hosts_are_exempt(server: str) -> None:
    await check_address_allowed(server, ONLY_LOCAL_SERVER)
    assert (await get(f"{server}/count/2", ONLY_LOCAL_SERVER)).body == b"arrived"


class Internet:
    """Stands for name servers and routers: what a name resolves to each time, and who has a public address."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: list[list[str]], port: int) -> None:
        self.looked_up: list[str] = []
        self.connected_to: list[str] = []
        resolve = socket.getaddrinfo
        connect = asyncio.base_events.BaseEventLoop.create_connection

        def getaddrinfo(host: str, service: Any, *args: Any, **options: Any) -> Any:
            self.looked_up.append(host)
            return [entry for address in answers.pop(0) for entry in resolve(address, service, *args, **options)]

        async def create_connection(loop: Any, factory: Any, host: str, _: int, **options: Any) -> Any:
            self.connected_to.append(host)
            if ":" in host:
                raise OSError(101, "Network is unreachable")
            return await connect(loop, factory, "127.0.0.1", port, **options)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "create_connection", create_connection)


async def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_used(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.rpartition(":")[2])
    internet = Internet(monkeypatch, [["2001:4860:4860::8888", "93.184.215.14"], ["127.0.0.1"]], port)
    answer = await get("http://rebind.test/show", CAREFUL)
    assert json.loads(answer.body)["headers"]["host"] == "rebind.test"
    assert internet.looked_up == ["rebind.test"]
    assert internet.connected_to == ["2001:4860:4860::8888", "93.184.215.14"]
    with pytest.raises(AddressRefused, match=r"rebind\.test"):
        await get("http://rebind.test/show", CAREFUL)


async def test_a_name_with_a_private_address_among_its_addresses_is_refused(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    internet = Internet(monkeypatch, [["93.184.215.14", "10.0.0.1"]], 1)
    with pytest.raises(AddressRefused):
        await get("http://mixed.test/", CAREFUL)
    assert internet.connected_to == []


PUBLIC = ("1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1")
NOT_PUBLIC_V4 = (
    "168.63.129.16",
    "192.88.99.1",
    "192.0.0.192",
    "100.127.255.255",
    "198.18.0.1",
    "192.0.2.1",
    "240.0.0.1",
    "0.1.2.3",
)
NOT_PUBLIC_V6 = (
    "2002:c0a8:101::1",
    "64:ff9b:1::1",
    "2001:0:1::1",
    "fec0::1",
    "3fff::1",
    "5f00::1",
    "::ffff:168.63.129.16",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::10.0.0.1",
    "2001:db8::1",
    "fe80::1",
)


async def test_public_is_what_the_internet_routes() -> None:
    found = [
        address for address in PUBLIC + NOT_PUBLIC_V4 + NOT_PUBLIC_V6 if is_public(ipaddress.ip_address(address))
    ]
    assert found == list(PUBLIC)
