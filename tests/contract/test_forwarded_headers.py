"""What a proxy writes into headers, or who says to be one, changes nothing that a service says of itself."""

from pathlib import Path

import httpx
import pytest

from tests.agents import running_agent, write_project
from tests.registry.registries import Served

EVIL = "evil.test"

FORWARDED = {
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": f"/{EVIL}",
    "X-Forwarded-Port": "4711",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Server": EVIL,
    "X-Original-Host": EVIL,
    "X-Original-URL": f"/{EVIL}",
    "X-Rewrite-URL": f"/{EVIL}",
    "X-Script-Name": f"/{EVIL}",
    "Forwarded": f"for=203.0.113.7;host={EVIL};proto=https",
}

OF_THE_AGENT = (
    "/.well-known/agent-card.json",
    "/.well-known/agent.json",
    "/a2a/extendedAgentCard",
    "/api/v1/card/url",
    "/openapi.json",
)
OF_THE_REGISTRY = ("/.well-known/did.json", "/did.json", "/agents/one", "/agents", "/openapi.json")


@pytest.mark.parametrize("version", ["0.3", "1.0"])
async def test_an_agents_card_is_what_it_was(tmp_path: Path, database_url: str, version: str) -> None:
    directory = write_project(tmp_path)
    async with running_agent(directory, database_url) as agent:
        agent.http.headers["A2A-Version"] = version
        before = await said(agent.http, OF_THE_AGENT)
        assert "http://agent.test" in before["/.well-known/agent-card.json"]
        assert await said(agent.http, OF_THE_AGENT, FORWARDED) == before
        changed = {"url": "http://new.test/agent"}
        (await agent.http.patch("/api/v1/card/url", json=changed, headers=FORWARDED)).raise_for_status()
        after = await said(agent.http, OF_THE_AGENT, FORWARDED)
        assert "http://new.test/agent" in after["/.well-known/agent-card.json"]
        assert EVIL not in "".join(after.values())
        assert agent.runtime.card_url.url == "http://new.test/agent"


async def test_a_registrys_document_and_cards_are_what_they_were(registry: Served) -> None:
    card = {"id": "one", "uri": "http://one.test/", "name": "One"}
    (await registry.http.post("/agents", json=card, headers=FORWARDED)).raise_for_status()
    (await registry.http.post("/agents/one/activate", headers=FORWARDED)).raise_for_status()
    before = await said(registry.http, OF_THE_REGISTRY)
    assert "did:web:registry.test%3A7700#one" in before["/.well-known/did.json"]
    assert EVIL not in "".join(before.values())
    assert await said(registry.http, OF_THE_REGISTRY, FORWARDED) == before


async def said(
    http: httpx.AsyncClient, paths: tuple[str, ...], headers: dict[str, str] | None = None
) -> dict[str, str]:
    answers = {path: await http.get(path, headers=headers) for path in paths}
    return {path: f"{answer.status_code} {answer.text}" for path, answer in answers.items()}
