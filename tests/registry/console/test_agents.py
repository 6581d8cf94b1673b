"""What an operator learns of an agent itself, and does to it, by its pages."""

import pytest

from registry.console.conversations import conversation_path
from tests.registry.console.people import log_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_conversation_is_read_with_tool_calls_folded_and_step_by_step(registry):
    person = await log_in(registry, "viewer")
    for text in ("tea", "look kettle"):
        await registry.agent.ask(text, "read")
    said = (await person.get(conversation_path("helper", "read"))).text
    assert said.count('<p class="text">kettle</p>') == 2  # what the tool answered, within its call, and the agent
    assert "Called <code>kettle</code>" in said
    steps = await person.get(conversation_path("helper", "read", view="steps"))
    assert "Changed <code>topic</code>" in steps.text
    [last, *_] = (await registry.http.get("/agents/helper/admin/memory/threads/read/steps")).json()["data"][
        "steps"
    ]
    state = await person.get(conversation_path("helper", "read", view="steps", step=last["checkpoint_id"]))
    assert "State after step" in state.text
    assert (await person.get(conversation_path("helper", "unknown"))).status_code == 404


async def test_a_conversation_is_erased_after_it_was_shown_what_goes(registry):
    person, erase = await log_in(registry), "/console/agents/helper/conversation/erase"
    await registry.agent.ask("hello", "erased")
    shown = await person.post(erase, thread="erased")
    assert (shown.status_code, "checkpoint blobs" in shown.text) == (200, True)
    assert (await person.get(conversation_path("helper", "erased"))).status_code == 200
    assert (await person.post(erase, thread="erased", confirmed="yes")).status_code == 303
    assert (await person.get(conversation_path("helper", "erased"))).status_code == 404
    entry = (await registry.http.get("/audit?event_type=agent_admin_called&limit=1")).json()["items"][0]
    assert entry["raw_event"]["path"] == "memory/threads/erased"


async def test_memory_and_card_are_changed_from_the_agents_page(registry):
    person, path = await log_in(registry), "/console/agents/helper"
    sent = await person.post(f"{path}/memory", window_size="7", summarize="false", summarize_threshold="30")
    assert sent.headers["location"] == f"{path}?done=settings"
    assert (await registry.http.get("/agents/helper/admin/memory/config")).json()["data"]["window_size"] == 7
    refused = await person.post(f"{path}/card-url", url="nowhere")
    assert (refused.status_code, "url must" in refused.text) == (400, True)
    assert "the last 7 messages" in (await person.get(path)).text


async def test_usage_is_drawn_by_day_with_what_failed_and_is_in_a_table_beside(registry):
    person = await log_in(registry, "viewer")
    page = (await person.get("/console/usage")).text
    assert page.count('class="bar failed"') >= 1
    assert "Turns of agents from" in page
    assert '<th scope="row">canary</th>' in page


async def test_turns_tell_why_one_failed_and_an_agent_that_is_down_has_a_page_all_the_same(registry):
    person = await log_in(registry, "viewer")
    turns = (await person.get("/console/agents/helper/turns?state=failed")).text
    assert "RuntimeError" in turns
    down = await person.get("/console/agents/canary")
    assert (down.status_code, "The agent did not tell: no live process" in down.text) == (200, True)
    assert (await person.get("/console/agents/canary/turns")).status_code == 503
