"""The examples of JamJet's REST API reference, sent as they are printed there and answered as it says.

Of the parts about health, roles, agents, the audit log, tenants, workers, federation and errors.
"""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agents import running_agent, write_project
from tests.registry.registries import Served

RESEARCH_AGENT = """
{
  "id": "research-agent",
  "uri": "http://localhost:7701",
  "name": "Research Agent",
  "description": "Searches the web and synthesizes reports.",
  "version": "0.1.0",
  "capabilities": {
    "skills": [
      {
        "name": "research",
        "description": "Deep research on any topic",
        "input_schema": { "type": "object", "properties": { "query": { "type": "string" } } },
        "output_schema": { "type": "object", "properties": { "report": { "type": "string" } } }
      }
    ],
    "protocols": ["a2a"],
    "tools_provided": ["web_search"],
    "tools_consumed": []
  },
  "autonomy": "guided",
  "auth": { "type": "bearer_token" }
}
"""

ACME = """
{
  "id": "acme",
  "name": "Acme Corp"
}
"""

UPDATED_ACME = """
{
  "name": "Acme Corporation",
  "status": "active",
  "policy": {},
  "limits": {}
}
"""
"""The page prints `{ ... }` for the policy and the limits."""

ROLES = {"operator": "read write admin", "developer": "read write", "reviewer": "read", "viewer": "read"}

WRITERS_ONLY = {"error": "insufficient role — developer or operator required"}


async def send(http: httpx.AsyncClient, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    """Status and JSON of the answer to a body that is sent as it is."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    answer = await http.request(method, path, content=body, headers=headers)
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()


@pytest.fixture
async def anybody(registry: Served) -> httpx.AsyncClient:
    """A client without a token."""
    return await registry.client()


@pytest.fixture
async def developer(registry: Served) -> httpx.AsyncClient:
    return await registry.client_of("developer")


@pytest.fixture
async def registered(developer: httpx.AsyncClient) -> httpx.AsyncClient:
    """A developer's client, who has registered the agent of the page."""
    status, _ = await send(developer, "POST", "/agents", RESEARCH_AGENT)
    assert status == 201
    return developer


@pytest.fixture
async def operator(registry: Served) -> httpx.AsyncClient:
    return await registry.client_of("operator")


async def test_get_health(anybody):
    status, answer = await send(anybody, "GET", "/health")
    assert (status, list(answer)) == (200, ["status", "version"])
    assert answer["status"] == "ok"
    assert re.fullmatch(r"\d+\.\d+\.\d+", answer["version"])


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}], ids=["no token", "unknown token"])
async def test_a_protected_endpoint_requires_a_token(anybody, headers):
    for path in ["/agents", "/agents/research-agent", "/audit", "/tenants", "/tenants/acme", "/workers"]:
        answer = await anybody.get(path, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid or expired token"}), path


@pytest.mark.parametrize("role", ROLES)
async def test_what_each_role_may_do(registry, role):
    http = await registry.client_of(role)
    reading, _ = await send(http, "GET", "/agents")
    writing, written = await send(http, "POST", "/agents", RESEARCH_AGENT)
    administering, _ = await send(http, "POST", "/tenants", ACME)
    assert (reading, writing, administering) == (
        200,
        201 if "write" in ROLES[role] else 403,
        201 if "admin" in ROLES[role] else 403,
    )
    assert "write" in ROLES[role] or written == WRITERS_ONLY


async def test_post_agents(developer):
    status, answer = await send(developer, "POST", "/agents", RESEARCH_AGENT)
    assert (status, answer["agent_id"]) == (201, "research-agent")


async def test_get_agents(registered):
    status, answer = await send(registered, "GET", "/agents")
    assert (status, list(answer)) == (200, ["agents"])
    assert [agent["id"] for agent in answer["agents"]] == ["research-agent"]


async def test_get_agents_with_filters(registered):
    for query in ["status=registered", "skill=research", "protocol=a2a"]:
        assert await listed_with(registered, query) == ["research-agent"], query
    for query in ["status=active", "status=paused", "status=deactivated", "skill=cooking", "protocol=mcp"]:
        assert await listed_with(registered, query) == [], query


async def test_get_an_agent_with_its_card(registered):
    status, answer = await send(registered, "GET", "/agents/research-agent")
    card = json.loads(RESEARCH_AGENT)
    assert status == 200
    assert answer["card"] == card
    assert {key: answer[key] for key in card if key != "capabilities"} == {
        key: card[key] for key in card if key != "capabilities"
    }


async def test_post_agents_discover(developer, tmp_path: Path, database_url):
    project = write_project(tmp_path / "remote")
    async with running_agent(project, database_url, "remote-agent") as remote:
        status, answer = await send(developer, "POST", "/agents/discover", json.dumps({"url": remote.url}))
        assert status == 201
        assert answer.items() >= {"name": "test-agent", "status": "registered"}.items()
        # The full agent object is the one that can be asked for.
        assert await send(developer, "GET", f"/agents/{answer['id']}") == (200, answer)


async def test_post_activate_and_deactivate(registered):
    activated = await send(registered, "POST", "/agents/research-agent/activate")
    assert activated == (200, {"agent_id": "research-agent", "status": "active"})
    deactivated = await send(registered, "POST", "/agents/research-agent/deactivate")
    assert deactivated == (200, {"agent_id": "research-agent", "status": "deactivated"})
    assert await listed_with(registered, "status=deactivated") == ["research-agent"]


async def test_post_heartbeat(registered):
    status, answer = await send(registered, "POST", "/agents/research-agent/heartbeat")
    assert status == 200
    assert answer.items() >= {"agent_id": "research-agent", "ok": True}.items()


async def test_get_audit(registered):
    status, answer = await send(registered, "GET", "/audit")
    assert (status, list(answer)) == (200, ["items", "total", "limit", "offset"])
    assert (answer["limit"], answer["offset"]) == (50, 0)
    entry = next(item for item in answer["items"] if item["event_type"] == "agent_registered")
    assert entry.keys() >= {"id", "execution_id", "event_type", "actor_id", "created_at"}
    assert all(isinstance(entry[key], str) for key in ("id", "event_type", "actor_id"))
    assert is_utc_time(entry["created_at"])


async def test_get_audit_of_an_event_type_an_actor_and_an_execution(registered):
    _, of_type = await send(registered, "GET", "/audit?event_type=agent_registered")
    assert of_type["total"] == 1
    [entry] = of_type["items"]
    _, of_actor = await send(registered, "GET", f"/audit?actor_id={entry['actor_id']}")
    assert of_actor["items"] == [entry]
    _, of_execution = await send(registered, "GET", "/audit?execution_id=exec_a1b2c3d4")
    assert (of_execution["items"], of_execution["total"]) == ([], 0)


async def test_get_audit_by_pages(registered):
    await send(registered, "POST", "/agents/research-agent/activate")
    _, whole = await send(registered, "GET", "/audit?limit=200")
    _, page = await send(registered, "GET", "/audit?limit=1&offset=1")
    assert (page["limit"], page["offset"], page["total"]) == (1, 1, whole["total"])
    assert page["items"] == whole["items"][1:2]


async def test_post_tenants(operator):
    status, answer = await send(operator, "POST", "/tenants", ACME)
    assert (status, answer["tenant_id"]) == (201, "acme")


async def test_get_tenants(operator):
    await send(operator, "POST", "/tenants", ACME)
    status, answer = await send(operator, "GET", "/tenants")
    assert status == 200
    assert {"acme", "default"} == {tenant["id"] for tenant in answer["tenants"]}
    status, tenant = await send(operator, "GET", "/tenants/acme")
    assert status == 200
    assert tenant.items() >= {"id": "acme", "name": "Acme Corp", "status": "active"}.items()


async def test_put_tenants(operator):
    await send(operator, "POST", "/tenants", ACME)
    status, answer = await send(operator, "PUT", "/tenants/acme", UPDATED_ACME)
    assert (status, answer["tenant_id"]) == (200, "acme")
    _, tenant = await send(operator, "GET", "/tenants/acme")
    assert tenant.items() >= json.loads(UPDATED_ACME).items()


async def test_all_fields_of_a_tenant_are_optional(operator):
    await send(operator, "POST", "/tenants", ACME)
    for field, value in json.loads(UPDATED_ACME).items():
        status, tenant = await send(operator, "PUT", "/tenants/acme", json.dumps({field: value}))
        assert (status, tenant["tenant_id"]) == (200, "acme"), field


async def test_tenants_require_an_operator(developer):
    operators_only = (403, {"error": "insufficient role — operator required"})
    assert await send(developer, "POST", "/tenants", ACME) == operators_only
    assert await send(developer, "PUT", "/tenants/acme", UPDATED_ACME) == operators_only


async def test_get_workers(registered):
    assert await send(registered, "GET", "/workers") == (200, {"workers": []})


async def test_get_the_did_document(anybody, registered):
    assert await service_endpoints(anybody) == []
    await send(registered, "POST", "/agents/research-agent/activate")
    assert await service_endpoints(anybody) == ["http://localhost:7701"]


async def test_a_bad_request(developer):
    status, answer = await send(developer, "POST", "/agents", "{}")
    assert status == 400
    assert answer["error"].startswith("bad request: ")


async def test_what_is_not_found(developer):
    nobody = (404, {"error": "not found: agent nobody"})
    assert await send(developer, "GET", "/agents/nobody") == nobody
    assert await send(developer, "POST", "/agents/nobody/activate") == nobody
    status, answer = await send(developer, "GET", "/nowhere")
    assert status == 404
    assert answer["error"].startswith("not found: ")


async def service_endpoints(http: httpx.AsyncClient) -> list[str]:
    """Of a DID document, which is checked on the way."""
    answer = await http.get("/.well-known/did.json")
    document = answer.json()
    assert answer.status_code == 200
    assert "https://www.w3.org/ns/did/v1" in document["@context"]
    assert document["id"].startswith("did:web:")
    assert all(service.keys() >= {"id", "type"} for service in document["service"])
    return [service["serviceEndpoint"] for service in document["service"]]


async def listed_with(http: httpx.AsyncClient, query: str) -> list[str]:
    _, answer = await send(http, "GET", f"/agents?{query}")
    return [agent["id"] for agent in answer["agents"]]


def is_utc_time(text: str) -> bool:
    return text.endswith("Z") and datetime.fromisoformat(text).utcoffset() == timedelta(0)
