"""The DID document names everybody's agents that are alive, and is what W3C says that it should be."""

import re

import pytest

from registry.did.document import build_did, build_document
from registry.did.service import MOST_SERVICES
from registry.did.store import PublicAgent
from tests.registry.registries import Served, running_registry

PATH = "/.well-known/did.json"
DID = "did:web:registry.test%3A7700"

# The grammars of W3C's DID Core 1.0 (`did`, `method-specific-id`) and of RFC 3986 (`fragment`).
IDCHAR = r"(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})"
DID_SYNTAX = re.compile(rf"did:[a-z0-9]+:(?:{IDCHAR}*:)*{IDCHAR}+")
FRAGMENT = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
SERVICE_SYNTAX = re.compile(rf"{DID_SYNTAX.pattern}\#{FRAGMENT}")

ODD_IDS = ["plain", "acme.plain", "a#b", "a%2Fb", "a?b", "a:b", "ä~'\"<", "100%"]


async def put_agent(registry: Served, agent_id: str, tenant_id: str = "default", **card: object) -> None:
    """Registers an agent that is active and alive."""
    client = await registry.client_of("developer", tenant_id)
    card = {"id": agent_id, "uri": "http://agent.test:7701/a2a"} | card
    assert (await client.post("/agents", json=card)).status_code == 201
    answer = await client.post(
        f"/agents/{agent_id.replace('%', '%25').replace('#', '%23').replace('?', '%3F')}/activate"
    )
    assert answer.status_code == 200, answer.text


async def services(registry: Served) -> list[dict[str, str]]:
    document = (await (await registry.client()).get(PATH)).json()
    found: list[dict[str, str]] = document["service"]
    return found


async def test_everybody_may_read_it(registry):
    answer = await (await registry.client()).get(PATH)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    contexts = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"]
    keys: dict[str, list[str]] = {"verificationMethod": [], "assertionMethod": []}
    assert answer.json() == {"@context": contexts, "id": DID, "service": [], **keys}


async def test_it_comes_with_its_own_media_type_for_those_who_ask_for_it(registry):
    answer = await registry.http.get(PATH, headers={"Accept": "application/did+json"})
    assert answer.headers["content-type"] == "application/did+json"
    assert answer.headers["vary"] == "Accept"
    assert answer.json()["id"] == DID


async def test_it_has_a_service_for_each_agent_that_is_alive(registry):
    await put_agent(registry, "research-agent", name="Research", capabilities={"protocols": ["a2a"]})
    await put_agent(registry, "tools", capabilities={"protocols": ["mcp_server"]})
    uri = "http://agent.test:7701/a2a"
    assert await services(registry) == [
        {"id": f"{DID}#research-agent", "type": "A2AService", "serviceEndpoint": uri, "name": "Research"},
        {"id": f"{DID}#tools", "type": "AgentService", "serviceEndpoint": uri, "name": "tools"},
    ]


async def test_agents_that_are_not_active_or_not_alive_are_left_out(registry):
    for agent_id in ("paused", "ended", "failing", "living"):
        await put_agent(registry, agent_id)
    await registry.http.post("/agents", json={"id": "registered", "uri": "http://agent.test"})
    await registry.http.post("/agents/paused/pause")
    await registry.http.post("/agents/ended/deactivate")
    await registry.http.post("/agents/failing/heartbeat", json={"health": "failing"})
    assert [service["name"] for service in await services(registry)] == ["living"]


async def test_agents_of_other_tenants_are_shown_when_their_tenant_wants_it(registry):
    await put_agent(registry, "one")
    for tenant_id in ("acme", "beta"):
        await put_agent(registry, "one", tenant_id)
    await registry.http.put("/tenants/acme", json={"policy": {"public_agents": True}})
    await registry.http.put("/tenants/beta", json={"policy": {"public_agents": "yes"}})
    assert [service["id"] for service in await services(registry)] == [f"{DID}#one", f"{DID}#acme/one"]
    await registry.http.put("/tenants/acme", json={"status": "suspended"})
    assert [service["id"] for service in await services(registry)] == [f"{DID}#one"]


async def test_every_id_is_of_the_right_syntax_and_there_once(registry):
    await registry.http.post("/tenants", json={"id": "acme", "name": "", "policy": {"public_agents": True}})
    for agent_id in ODD_IDS:
        for tenant_id in ("default", "acme"):
            await put_agent(registry, agent_id, tenant_id)
    ids = [service["id"] for service in await services(registry)]
    assert len(set(ids)) == 2 * len(ODD_IDS)
    assert all(SERVICE_SYNTAX.fullmatch(each) for each in ids), ids


@pytest.mark.parametrize(
    ("public_url", "did"),
    [
        ("http://localhost:7700", "did:web:localhost%3A7700"),
        ("https://registry.example.com", "did:web:registry.example.com"),
        ("https://Registry.Example.com/", "did:web:registry.example.com"),
        ("https://example.com:8443/agents/v1", "did:web:example.com%3A8443:agents:v1"),
        ("https://example.com/~user/a%2Fb//ä", "did:web:example.com:%7Euser:a%2Fb:%C3%A4"),
        ("http://[::1]:7700", "did:web:%5B%3A%3A1%5D%3A7700"),
    ],
)
def test_the_did_follows_from_the_public_url(public_url: str, did: str):
    assert build_did(public_url) == did
    assert DID_SYNTAX.fullmatch(did)


def test_the_services_of_two_tenants_are_told_apart_whatever_they_are_called():
    pairs = [("default", "a.b"), ("a", "b"), ("a.b", "c"), ("default", "a"), ("a", "b.c"), ("default", "a%2Fb")]
    agents = [PublicAgent(tenant_id, agent_id, "n", "http://h", []) for tenant_id, agent_id in pairs]
    ids = [service["id"] for service in build_document("http://h", agents)["service"]]
    assert len(set(ids)) == len(pairs)


async def test_it_is_bounded(registry, registry_pool):
    async with registry_pool.connection() as conn:
        await conn.execute(
            "INSERT INTO agents (tenant_id, agent_id, uri, status, origin, card, skills, protocols)"
            " SELECT 'default', 'agent-' || n, 'http://h', 'active', 'registered', '{}', '{}', '{}'"
            "   FROM generate_series(1, 1200) n"
        )
        await conn.execute(
            "INSERT INTO agent_instances (tenant_id, agent_id, incarnation, heartbeat_seconds, alive_until)"
            " SELECT tenant_id, agent_id, '', 60, now() + interval '1 minute' FROM agents"
        )
    assert len(await services(registry)) == MOST_SERVICES


async def test_behind_a_path_it_is_found_where_the_did_leads_to(registry):
    anybody = await registry.client()
    assert (await anybody.get("/did.json")).json() == (await anybody.get(PATH)).json()


async def test_in_developer_mode_no_page_of_another_site_gets_it(registry_dsn):
    async with running_registry(registry_dsn, jamjet_dev_mode=True) as registry:
        anybody = await registry.client()
        assert (await anybody.get(PATH)).status_code == 200
        assert (await anybody.get(PATH, headers={"Host": "evil.test"})).status_code == 403
