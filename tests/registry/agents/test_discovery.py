"""Cards are found where agents have them, and nothing that a server does instead does any harm."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from groundwork.outgoing.fetch import OutgoingPolicy, open_client
from registry.agents.cards import Card, describe_card
from registry.agents.discovery import Discovery, open_discovery
from registry.errors import AgentUnreachable, InvalidRequest
from registry.settings import RegistrySettings
from tests.agents import running_agent, write_project
from tests.groundwork.outgoing.test_fetch import Internet
from tests.registry.agents.test_cards import A2A_0_3, A2A_1_0, JAMJET
from tests.servers import run_server

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one server for all of them

WITHOUT_ADDRESS = {"id": "here", "name": "Here", "capabilities": {"skills": []}}
ANSWERS: dict[str, Response] = {
    "/jamjet/.well-known/agent.json": JSONResponse(JAMJET),
    "/old/.well-known/agent.json": JSONResponse(A2A_0_3),
    "/new/.well-known/agent-card.json": JSONResponse(A2A_1_0),
    "/page/.well-known/agent.json": HTMLResponse("<p>welcome</p>"),
    "/page/.well-known/agent-card.json": JSONResponse(A2A_1_0),
    "/here/.well-known/agent.json": JSONResponse(WITHOUT_ADDRESS),
    "/cards/one.json": JSONResponse(WITHOUT_ADDRESS),
    "/redirected/.well-known/agent.json": RedirectResponse("/old/.well-known/agent.json"),
    "/loop/.well-known/agent.json": RedirectResponse("/loop/.well-known/agent.json"),
    "/elsewhere/.well-known/agent.json": RedirectResponse("http://localhost:1/card.json"),
    "/nonsense/.well-known/agent.json": RedirectResponse("ftp://example.com/"),
    "/huge/.well-known/agent.json": Response(b" " * 300_000),
    "/bomb/.well-known/agent.json": Response(
        gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"}
    ),
    "/html/card.json": HTMLResponse("<script>secret</script>"),
    "/text/card.json": JSONResponse("secret"),
    "/array/card.json": JSONResponse([JAMJET]),
    "/broken/card.json": Response('{"secret": '),
    "/latin/card.json": Response(b'{"name": "\xe9"}'),
    "/nul/card.json": JSONResponse(JAMJET | {"secret\0": 1}),
    "/wrong/card.json": JSONResponse(JAMJET | {"name": ["secret"]}),
    "/any/card.json": JSONResponse({"error": "secret"}),
    "/script/card.json": JSONResponse(JAMJET | {"uri": "javascript:secret"}),
    "/error/card.json": JSONResponse(JAMJET, 500),
    "/closed/card.json": JSONResponse(JAMJET, 401),
}
seen: list[dict[str, str]] = []


async def answer(request: Request) -> Response:
    seen.append(dict(request.headers))
    return ANSWERS.get(request.url.path, Response(status_code=404))


async def drip(_: Request) -> Response:
    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(drops())


APP = Starlette(routes=[Route("/slow/.well-known/agent.json", drip), Route("/{path:path}", answer)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[str]:
    async with run_server(APP) as url:
        yield url


async def discover(url: str, **settings: Any) -> Card:
    async with open_discovery(RegistrySettings(_env_file=None, **settings)) as discovery:
        return await discovery.find_card(url)


async def test_a_card_of_jamjet_is_found_below_a_base_url(server: str):
    card = await discover(f"{server}/jamjet")
    assert (card.agent_id, card.uri, card.document) == ("research-agent", JAMJET["uri"], JAMJET)
    assert card.found_at == f"{server}/jamjet/.well-known/agent.json"


async def test_a_base_url_may_end_in_a_slash_and_have_a_query_and_a_fragment(server: str):
    card = await discover(f"{server}/jamjet/?a=b#c")
    assert card.found_at == f"{server}/jamjet/.well-known/agent.json"


async def test_cards_of_a2a_are_found(server: str):
    assert (await discover(f"{server}/old")).uri == A2A_0_3["url"]
    new = await discover(f"{server}/new")
    assert (new.uri, new.protocols) == ("https://recipes.example.com/a2a", ("a2a",))
    assert new.found_at == f"{server}/new/.well-known/agent-card.json"


async def test_a_page_for_everything_does_not_hide_the_card(server: str):
    assert (await discover(f"{server}/page")).name == "Recipes"


async def test_a_card_url_is_taken_as_it_is(server: str):
    url = f"{server}/old/.well-known/agent.json"
    card = await discover(f"{url}?version=1#top")
    assert (card.name, card.found_at) == ("Recipes", f"{url}?version=1")


@pytest.mark.parametrize(
    ("path", "uri"),
    [("/here", "/here"), ("/here/.well-known/agent.json", "/here"), ("/cards/one.json?a=b", "/cards")],
)
async def test_an_agent_that_does_not_say_where_it_is_is_where_its_card_was(server: str, path: str, uri: str):
    assert (await discover(server + path)).uri == server + uri


async def test_redirects_are_followed(server: str):
    card = await discover(f"{server}/redirected")
    assert (card.name, card.found_at) == ("Recipes", f"{server}/redirected/.well-known/agent.json")


async def test_an_agent_of_ours_is_found(database_url: str, tmp_path: Any):
    async with running_agent(write_project(tmp_path), database_url, a2a_tokens="alice=secret") as agent:
        card = await discover(agent.url)
    assert (card.agent_id, card.uri, card.name) == (None, "http://agent.test", "test-agent")
    shown = describe_card(card.document)
    assert shown["capabilities"]["protocols"] == ["a2a"]
    assert shown["auth"] == {"type": "bearer_token", "scopes": []}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nothing", "agent.json answered 404; /nothing/.well-known/agent-card.json answered 404"),
        ("/loop", "more than 3 redirects"),
        ("/nonsense", "must be absolute"),
        ("/huge", "more than 262144 bytes"),
        ("/bomb", "more than 262144 bytes"),
        ("/html/card.json", "not valid JSON"),
        ("/text/card.json", "not a JSON object"),
        ("/array/card.json", "not a JSON object"),
        ("/broken/card.json", "not valid JSON"),
        ("/latin/card.json", "uri is required"),
        ("/nul/card.json", "text that cannot be stored"),
        ("/wrong/card.json", "name should be a valid string"),
        ("/any/card.json", "name is required, or an id; uri is required"),
        ("/script/card.json", "uri should be an absolute http or https URL"),
        ("/error/card.json", "answered 500"),
        ("/closed/card.json", "answered 401"),
    ],
)
async def test_an_answer_that_is_no_card_is_said_to_be_none(server: str, path: str, reason: str):
    with pytest.raises(AgentUnreachable) as raised:
        await discover(server + path)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_a_server_that_is_not_there_is_unreachable():
    for url in ("http://127.0.0.1:1", "http://nowhere.invalid/card.json"):
        with pytest.raises(AgentUnreachable, match="cannot connect"):
            await discover(url)


async def test_a_server_that_never_ends_is_left_in_time(server: str):
    policy = OutgoingPolicy(timeout_seconds=0.5)
    async with open_client(policy) as client:
        started = time.monotonic()
        with pytest.raises(AgentUnreachable, match=r"did not answer within 0\.5 seconds"):
            await Discovery(client, policy).find_card(f"{server}/slow")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "/path",
        "file:///etc/passwd",
        "ftp://example.com",
        "jamjet://org/agent",
        "http://",
        "http://[::1",
        "http://[foo]/",
        "http://h:99999",
        "http://h:x/",
        "http://user:secret@example.com",
        "http://a\n/",
        "http://ℂ℀/",
    ],
)
async def test_only_urls_of_the_web_without_credentials_are_tried(url: str):
    with pytest.raises(InvalidRequest, match=r"^url is refused: ") as raised:
        await discover(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "169.254.169.254", "[::1]", "2130706433"])
async def test_private_networks_are_refused_where_they_are_denied(server: str, host: str):
    seen.clear()
    url = f"http://{host}:{server.rpartition(':')[2]}/jamjet"
    with pytest.raises(InvalidRequest, match=r"^url is refused: .* private or reserved network"):
        await discover(url, deny_private_networks=True)
    assert seen == []


async def test_hosts_on_the_list_are_allowed_and_what_they_redirect_to_is_not(server: str):
    allowed = {"deny_private_networks": True, "jamjet_discover_allowed_hosts": "127.0.0.1"}
    assert (await discover(f"{server}/jamjet", **allowed)).name == "Research Agent"
    with pytest.raises(InvalidRequest, match=r"^url is refused: localhost "):
        await discover(f"{server}/elsewhere", **allowed)


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    server: str, monkeypatch: pytest.MonkeyPatch
):
    internet = Internet(monkeypatch, [["93.184.215.14"], ["127.0.0.1"]], int(server.rpartition(":")[2]))
    assert (await discover("http://rebind.test/jamjet", deny_private_networks=True)).name == "Research Agent"
    assert internet.looked_up == ["rebind.test"]
    assert internet.connected_to == ["93.184.215.14"]


@pytest.mark.parametrize("path", ["/page", "/redirected"])
async def test_a_name_that_becomes_a_private_address_at_the_next_look_is_refused(
    server: str, monkeypatch: pytest.MonkeyPatch, path: str
):
    """Between the two places where a card may be, or on the way of a redirect to the same name."""
    seen.clear()
    internet = Internet(monkeypatch, [["93.184.215.14"], ["127.0.0.1"]], int(server.rpartition(":")[2]))
    with pytest.raises(InvalidRequest, match=r"^url is refused: rebind\.test is, or resolves to"):
        await discover(f"http://rebind.test{path}", deny_private_networks=True)
    assert internet.looked_up == ["rebind.test", "rebind.test"]
    assert internet.connected_to == ["93.184.215.14"]
    assert len(seen) == 1


async def test_nothing_of_ours_is_sent_along(server: str):
    seen.clear()
    await discover(f"{server}/jamjet", jamjet_token="secret")
    (headers,) = seen
    assert headers.keys() <= {"host", "accept", "accept-encoding", "connection", "user-agent"}
