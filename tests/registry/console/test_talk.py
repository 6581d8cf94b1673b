"""Talking to a registered agent, by the page and by the API."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.registry.agents.agents import until
from tests.registry.console.people import log_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

TALK = "/console/agents/helper/talk"


async def test_a_person_talks_by_forms_alone_and_answers_what_the_agent_asks(registry):
    person = await log_in(registry, "developer")
    assert "Message" in (await person.get(TALK)).text
    sent = await person.post(TALK, text="ask for sugar", thread="tea-time")
    assert sent.status_code == 303
    place = sent.headers["location"]
    task = parse_qs(urlsplit(place).query)["task"][0]
    await until(lambda: _has(person.http, place, "for your answer"))
    await person.post(TALK, text="two", thread="tea-time", task=task)
    await until(lambda: _has(person.http, place, "heard two"))
    page = (await person.get(place)).text
    assert "<dt>Cost</dt>" in page
    assert "ask for sugar" in page
    entry = (await registry.http.get("/audit?event_type=agent_asked&limit=1")).json()["items"][0]
    assert entry["subject"] == "agent:helper"


async def test_the_same_is_there_in_json_and_a_message_that_is_sent_again_is_known(registry):
    message = {"text": "hello", "context_id": "by-api", "message_id": "m-1"}
    first, second = [(await registry.http.post("/agents/helper/messages", json=message)).json() for _ in range(2)]
    assert first["task_id"] == second["task_id"]

    async def is_done() -> bool:
        told: dict[str, Any] = (await registry.http.get(f"/agents/helper/tasks/{first['task_id']}")).json()
        return (told["state"], told["text"], told["asked"]) == ("completed", "hello", ["hello"])

    await until(is_done)


async def test_whom_nobody_can_talk_to_is_said_with_the_reason(registry):
    client = await registry.client_of("developer")
    for agent_id, status, why in (("canary", 503, "no live process"), ("nobody", 404, "not found")):
        refused = await client.post(f"/agents/{agent_id}/messages", json={"text": "hello"})
        assert (refused.status_code, why in refused.text) == (status, True)
    viewer = await registry.client_of("viewer")
    assert (await viewer.post("/agents/helper/messages", json={"text": "hello"})).status_code == 403
    assert (await registry.http.post("/agents/helper/messages", json={"text": ""})).status_code == 400


async def _has(http: httpx.AsyncClient, path: str, text: str) -> bool:
    return text in (await http.get(path)).text
