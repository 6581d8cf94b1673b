"""`POST /agents/discover` with real agents, and with servers that only look like some."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from groundwork.bounds import DISCOVERIES_AT_ONCE
from tests.agents import running_agent, write_project
from tests.registry.agents.strangers import Strangers, running_strangers
from tests.registry.agents.test_cards import A2A_0_3
from tests.registry.registries import running_registry


@pytest.fixture
async def strangers() -> AsyncIterator[Strangers]:
    async with running_strangers() as strangers:
        yield strangers


async def test_a_discovered_agent_is_answered_as_a_whole(registry, strangers):
    url = strangers.put("one", description="Does things", capabilities={"skills": [{"name": "do"}]})
    answer = await registry.http.post("/agents/discover", json={"url": url})
    agent = answer.json()
    assert (answer.status_code, agent["id"], agent["status"]) == (201, "one", "registered")
    assert agent["card"] == strangers.cards["one"]
    assert (agent["uri"], agent["description"]) == (url, "Does things")
    assert [skill["id"] for skill in agent["capabilities"]["skills"]] == ["do"]


async def test_a_tenant_discovers_few_agents_at_a_time(registry, strangers):
    agents = registry.registry.agents
    acme = await registry.client_of("developer", "acme")
    url = strangers.put("one", capabilities={"skills": [{"name": "do"}]})
    async with AsyncExitStack() as under_way:
        for _ in range(DISCOVERIES_AT_ONCE):
            await under_way.enter_async_context(agents._discovering("default"))
        answer = await registry.http.post("/agents/discover", json={"url": url})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
        assert (await acme.post("/agents/discover", json={"url": url})).status_code == 201
    assert (await registry.http.post("/agents/discover", json={"url": url})).status_code == 201


async def test_an_agent_of_a2a_is_called_by_its_name(registry, strangers):
    url = strangers.put("recipes")
    strangers.cards["recipes"] = A2A_0_3
    agent = (await registry.http.post("/agents/discover", json={"url": url})).json()
    assert (agent["id"], agent["url"], agent["capabilities"]["protocols"]) == ("recipes", A2A_0_3["url"], ["a2a"])
    assert agent["capabilities"]["skills"][0]["id"] == "find"
    listed = (await registry.http.get("/agents", params={"skill": "find", "protocol": "a2a"})).json()["agents"]
    assert [agent["id"] for agent in listed] == ["recipes"]


async def test_an_agent_of_ours_is_discovered(registry, database_url, tmp_path):
    async with running_agent(write_project(tmp_path), database_url) as agent:
        answer = await registry.http.post("/agents/discover", json={"url": agent.url})
    assert (answer.status_code, answer.json()["id"]) == (201, "test-agent")
    assert answer.json()["uri"] == "http://agent.test"


async def test_discovering_again_by_the_card_brings_the_entry_up_to_date(registry, strangers):
    url = strangers.put("one")
    await registry.http.post("/agents/discover", json={"url": url})
    strangers.put("one", version="2")
    again = await registry.http.post("/agents/discover", json={"url": f"{url}/.well-known/agent.json"})
    assert (again.status_code, again.json()["id"], again.json()["version"]) == (201, "one", "2")
    assert len((await registry.http.get("/agents")).json()["agents"]) == 1


async def test_a_card_does_not_take_the_place_of_another_agent(registry, strangers):
    own = {"id": "payments", "uri": "https://payments.example.com/a2a"}
    await registry.http.post("/agents", json=own)
    for claim in ({"id": "payments"}, {"id": "other", "uri": own["uri"]}):
        url = strangers.put("evil", **claim)
        assert (await registry.http.post("/agents/discover", json={"url": url})).status_code == 409
    assert (await registry.http.get("/agents/payments")).json()["card"] == own


async def test_why_nothing_was_discovered_is_said(registry, strangers):
    cases = {
        "ftp://example.com": (400, "bad request: url is refused: "),
        "http://user:hunter2@example.com": (400, "bad request: url is refused: "),
        f"{strangers.url}/nobody": (502, "bad gateway: 127.0.0.1 has no card that can be used: "),
        "http://127.0.0.1:1": (502, "bad gateway: cannot connect to 127.0.0.1"),
    }
    for url, (status, text) in cases.items():
        answer = await registry.http.post("/agents/discover", json={"url": url})
        assert (answer.status_code, answer.json()["error"][: len(text)]) == (status, text)
        assert "hunter2" not in answer.text


async def test_private_networks_can_be_denied(registry_dsn, strangers):
    async with running_registry(registry_dsn, deny_private_networks=True) as registry:
        answer = await registry.http.post("/agents/discover", json={"url": strangers.put("one")})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("bad request: url is refused: 127.0.0.1 is, or resolves to")
    assert strangers.asked == []


async def test_hosts_can_be_excepted_from_that(registry_dsn, strangers):
    async with running_registry(
        registry_dsn, deny_private_networks=True, jamjet_discover_allowed_hosts=("127.0.0.1",)
    ) as registry:
        answer = await registry.http.post("/agents/discover", json={"url": strangers.put("one")})
    assert answer.status_code == 201


async def test_viewers_cannot_make_the_registry_ask_anybody(registry, strangers):
    viewer = await registry.client_of("viewer")
    assert (await viewer.post("/agents/discover", json={"url": strangers.put("one")})).status_code == 403
    assert strangers.asked == []
