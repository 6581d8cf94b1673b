"""Who is let in: the bearer of the token, or without one, whoever comes from this machine itself."""

import httpx
import pytest

from admin_api import MountedAgent, admin_router
from tests.admin_api.answers import error_of, outcome, request_path, serve

EVERYWHERE = [
    ("GET", "/status"),
    ("GET", "/api/v1/card/url"),
    ("PATCH", "/api/v1/card/url"),
    ("DELETE", "/api/v1/memory/threads"),
    ("GET", "/api/v1/memory/threads//messages"),
    ("POST", "/internal/reload"),
    ("GET", "/api/v1/unknown"),
    ("PUT", "/api/v1/status"),
    ("OPTIONS", "/api/v1/status"),
    ("PROPFIND", "/api/v1"),
]

OUR_HOSTS = ["localhost", "LOCALHOST:1", "localhost.:80", "127.0.0.1", "127.9.9.9:80", "[::1]:8000", "[::1]"]

FOREIGN_HOSTS = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example:8000",
    "192.0.2.1",
    "evil.example@localhost",
    "localhost:x",
    "localhost:8000:8000",
    "",
]

OUR_ORIGINS = [
    ("localhost:8000", "http://localhost:8000"),
    ("localhost:8000", "https://LOCALHOST:8000"),
    ("localhost", "http://localhost"),
    ("localhost", "https://localhost:443"),
    ("[::1]:8000", "http://[::1]:8000"),
    ("localhost:8000", "https://console.internal"),
]

FOREIGN_ORIGINS = [
    "https://evil.example",
    "http://localhost:3000",  # another application on this machine
    "http://127.0.0.1:8000",  # a name of ours, but not the one in Host
    "http://localhost.evil.example:8000",
    "http://localhost:8000@evil.example",
    "null",
    "file://",
    "chrome-extension://localhost:8000",
    "http://localhost:x",
]


async def test_with_a_token_every_route_needs_it(idle_agent: MountedAgent) -> None:
    async with serve(idle_agent, token="s3cret-canary") as client:
        for method, path in EVERYWHERE:
            answer = await request_path(client, method, path)
            assert outcome(answer) == (401, "UNAUTHORIZED"), path
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "canary" not in answer.text


async def test_only_the_very_token_opens(idle_agent: MountedAgent) -> None:
    right = "schlüssel".encode()
    near = [b"Bearer " + right[:-1], b"Bearer " + right + b"x", b"Basic " + right, right]
    async with serve(idle_agent, token="schlüssel") as client:

        async def status(*values: bytes) -> int:
            headers = [(b"Authorization", value) for value in values]
            return (await client.get("/status", headers=headers)).status_code

        assert await status(b"Bearer " + right) == 200
        assert await status(b"bearer   " + right) == 200
        for wrong in (b"", b"Bearer", b"Bearer x", *near):
            assert await status(wrong) == 401, wrong
        assert await status("Bearer schlüssel".encode("latin-1")) == 401
        assert await status(b"Bearer " + right, b"Bearer " + right) == 401


async def test_a_token_makes_host_and_origin_irrelevant(idle_agent: MountedAgent) -> None:
    headers = ["Host: anything", "Origin: https://console.example", "Authorization: Bearer t"]
    async with serve(idle_agent, token="t") as client:
        assert (await request_path(client, "GET", "/status", *headers)).status_code == 200


async def test_a_host_on_this_machine_is_ours(idle_client: httpx.AsyncClient) -> None:
    for host in OUR_HOSTS:
        assert (await request_path(idle_client, "GET", "/status", f"Host: {host}")).status_code == 200, host


async def test_a_foreign_host_is_refused(idle_client: httpx.AsyncClient) -> None:
    for host in FOREIGN_HOSTS:
        answer = await request_path(idle_client, "GET", "/status", f"Host: {host}")
        assert outcome(answer) == (403, "FORBIDDEN"), host
        assert error_of(answer)["field"] == "Host"
    for method, path in EVERYWHERE:
        answer = await request_path(idle_client, method, path, "Host: evil.example")
        assert outcome(answer) == (403, "FORBIDDEN"), path


async def test_a_request_names_exactly_one_host(idle_client: httpx.AsyncClient) -> None:
    for headers in (["X-Nothing: 1"], ["Host: localhost", "Host: evil.example"]):
        answer = await request_path(idle_client, "GET", "/status", *headers)
        assert answer.status_code in (400, 403)  # 400 where the HTTP server itself insists on it


async def test_the_operator_may_name_further_hosts(idle_agent: MountedAgent) -> None:
    hosts = ["Agent.internal", "one.internal:8000", "10.0.0.5", "fd00::1"]
    async with serve(idle_agent, allowed_hosts=hosts) as client:

        async def status(host: str) -> int:
            return (await request_path(client, "GET", "/status", f"Host: {host}")).status_code

        for ours in ("agent.internal", "AGENT.internal:99", "one.internal:8000", "10.0.0.5:80", "[fd00::1]:80"):
            assert await status(ours) == 200, ours
        for foreign in ("one.internal", "one.internal:8001", "two.internal", "x.agent.internal"):
            assert await status(foreign) == 403, foreign


@pytest.mark.parametrize("host", ["", "http://agent.internal", "a b", "agent.internal/x"])
def test_a_further_host_that_is_none_is_a_mistake_at_start(idle_agent: MountedAgent, host: str) -> None:
    with pytest.raises(ValueError, match="not a host"):
        admin_router(idle_agent, allowed_hosts=[host])


async def test_our_own_pages_may_use_the_api(idle_agent: MountedAgent) -> None:
    async with serve(idle_agent, allowed_hosts=["console.internal"]) as client:
        for host, origin in OUR_ORIGINS:
            headers = [f"Host: {host}", f"Origin: {origin}", "Sec-Fetch-Site: same-origin"]
            assert (await request_path(client, "GET", "/status", *headers)).status_code == 200, origin


async def test_a_page_of_another_site_is_refused(idle_client: httpx.AsyncClient) -> None:
    for origin in FOREIGN_ORIGINS:
        answer = await request_path(idle_client, "GET", "/status", "Host: localhost:8000", f"Origin: {origin}")
        assert outcome(answer) == (403, "FORBIDDEN"), origin
        assert error_of(answer)["field"] == "Origin"
    for method, path in EVERYWHERE:
        answer = await request_path(idle_client, method, path, "Host: localhost", "Origin: https://evil.example")
        assert outcome(answer) == (403, "FORBIDDEN"), path


async def test_a_browser_that_says_it_comes_from_another_site_is_believed(
    idle_client: httpx.AsyncClient,
) -> None:
    for site, status in (("cross-site", 403), ("none", 200), ("same-origin", 200), ("same-site", 200)):
        headers = ["Host: localhost", f"Sec-Fetch-Site: {site}"]
        assert (await request_path(idle_client, "GET", "/status", *headers)).status_code == status
