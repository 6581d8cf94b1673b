"""Model nodes: what they ask, and what they make of the answer."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from groundwork.postgres.pool import Pool
from registry.access import COMMAND_LINE
from registry.executions.events import Completed, Failed, Outcome
from registry.outbound.models import Models, open_models
from registry.tenants.models import TenantChanges
from registry.tenants.service import Tenants
from tests.registry.engine.executions import events_of, start, until
from tests.registry.engine.model_server import ModelServer, running_model_server, seam_answer
from tests.registry.engine.visits import run, settings, visit_of
from tests.registry.engine.workflows import branches, document
from tests.registry.registries import running_registry
from tests.registry.workflows.samples import load_sample

Ask = Callable[..., Awaitable[Outcome]]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as server:
        yield server


@pytest.fixture
async def ask(server: ModelServer, registry_pool: Pool) -> AsyncIterator[Ask]:
    """Visits a model node once; the model is at the seam."""
    async with open_models(settings(jamjet_model_seam_url=server.url)) as models:

        async def ask(kind: dict[str, Any], state: dict[str, Any] | None = None, **more: Any) -> Outcome:
            return await run(visit_of(asking(kind, **more), state), registry_pool, models)

        yield ask


def asking(kind: dict[str, Any], **more: Any) -> dict[str, Any]:
    return document({"ask": {"type": "model", "model_ref": "openai/gpt-test", **kind}}, [], **more)


def said(server: ModelServer) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in server.requests[-1]["messages"]]


async def test_a_turn_of_an_agent_asks_with_the_conversation_and_leaves_its_calls_in_the_state(
    ask: Ask, server: ModelServer
):
    calls = [{"id": "c1", "name": "refund", "arguments": {"amount": 5}}]
    server.answers[0] = seam_answer("One moment.", finish_reason="tool_calls", tool_calls=calls)
    messages = [{"role": "system", "content": "Help."}, {"role": "user", "content": "My money!"}]
    tool = {"type": "function", "function": {"name": "refund", "parameters": {"properties": {"amount": "number"}}}}
    outcome = await ask({"system_prompt": "Help.", "tools": [tool]}, {"messages": messages})
    assert isinstance(outcome, Completed)
    assert outcome.patch == {
        "last_model_output": "One moment.",
        "last_model_finish_reason": "tool_calls",
        "last_model_tool_calls": calls,
    }
    assert outcome.output == {
        "content": "One moment.",
        "model": "anthropic/claude-test",
        "finish_reason": "tool_calls",
        "tool_calls": calls,
    }
    assert outcome.usage["cost_usd"] == 0.25
    assert said(server) == [("system", "Help."), ("user", "My money!")]
    assert server.requests[0]["tools"][0]["function"]["name"] == "refund"


async def test_a_step_of_a_strategy_fills_its_prompt_and_writes_what_the_answer_says(
    ask: Ask, server: ModelServer
):
    server.answers[0] = '```json\n{"passed": true, "score": 0.9}\n```'
    kind = {"prompt_ref": "Judge: {{ state.draft }}", "output_schema": "__critic_0_verdict__"}
    outcome = await ask(kind, {"draft": {"lines": 3}})
    assert isinstance(outcome, Completed)
    assert outcome.patch["__critic_0_verdict__"] == {"passed": True, "score": 0.9}
    assert said(server) == [("user", 'Judge: {"lines": 3}')]


@pytest.mark.parametrize(
    ("answer", "written"), [("plain words", "plain words"), ("[1]", [1]), ("NaN", "NaN"), ('{"a":', '{"a":')]
)
async def test_only_json_is_read_as_such(ask: Ask, server: ModelServer, answer: str, written: Any):
    server.answers[0] = answer
    outcome = await ask({"prompt_ref": "Go.", "output_schema": "result"})
    assert isinstance(outcome, Completed)
    assert (outcome.patch["result"], outcome.patch["last_model_output"]) == (written, answer)


async def test_a_schema_that_is_no_name_writes_no_key(ask: Ask):
    outcome = await ask({"prompt_ref": "Go.", "output_schema": "schemas.Memo"})
    assert isinstance(outcome, Completed)
    assert set(outcome.patch) == {"last_model_output", "last_model_finish_reason", "last_model_tool_calls"}


async def test_a_prompt_in_a_file_is_refused_by_its_name(ask: Ask, server: ModelServer):
    outcome = await ask({"prompt_ref": "prompts/memo.md"})
    assert isinstance(outcome, Failed)
    assert "prompts/memo.md" in outcome.error
    assert server.requests == []


async def test_where_only_a_file_is_named_the_conversation_stands_in(ask: Ask, server: ModelServer):
    kind = {"prompt_ref": "prompts/memo.md", "system_prompt": "For {{ state.who }}."}
    await ask(kind, {"messages": [{"role": "user", "content": "Hi"}], "who": "Ada"})
    assert said(server) == [("system", "For Ada."), ("user", "Hi")]


@pytest.mark.parametrize(
    "state", [{}, {"messages": []}, {"messages": "Hi"}, {"messages": [{"role": "user", "content": 1}]}]
)
async def test_without_anything_to_say_the_node_fails(ask: Ask, server: ModelServer, state: dict[str, Any]):
    outcome = await ask({}, state)
    assert isinstance(outcome, Failed)
    assert not outcome.retryable
    assert "state.messages" in outcome.error
    assert server.requests == []


async def test_what_the_workflow_says_of_the_model_is_heeded(ask: Ask, server: ModelServer):
    spec = {"provider": "openai", "model": "gpt-4o", "temperature": 0.3, "max_tokens": 50}
    await ask({"model_ref": "chat", "prompt_ref": "Go."}, models={"chat": spec})
    sent = server.requests[0]
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("openai/gpt-4o", 0.3, 50)


async def test_a_model_that_is_too_slow_for_the_workflow_is_a_timeout(ask: Ask):
    spec = {"provider": "openai", "model": "gpt-4o", "timeout_secs": 0.0001}
    outcome = await ask({"model_ref": "chat", "prompt_ref": "Go."}, models={"chat": spec})
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == ("timeout", True)


async def test_a_limit_of_the_provider_is_passed_on_to_the_nodes_retries(ask: Ask, server: ModelServer):
    server.answers[0] = {"status": 429, "retry_after": 5}
    outcome = await ask({"prompt_ref": "Go."})
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable, outcome.retry_after) == ("rate_limit", True, 5)


async def test_a_model_that_the_workflow_does_not_list_is_not_called(ask: Ask, server: ModelServer):
    outcome = await ask({"prompt_ref": "Go."}, policy={"model_allowlist": ["anthropic/*"]})
    assert isinstance(outcome, Failed)
    [event] = outcome.events
    assert (event.type, event.data["decision"], event.data["policy_scope"]) == (
        "policy_violation",
        "blocked",
        "workflow",
    )
    assert server.requests == []


async def test_a_model_that_the_tenant_does_not_list_is_not_called(
    ask: Ask, server: ModelServer, registry_pool: Pool
):
    policy = {"model_allowlist": ["anthropic/*"]}
    await Tenants(registry_pool).update_tenant(COMMAND_LINE, "default", TenantChanges(policy=policy))
    outcome = await ask({"prompt_ref": "Go."})
    assert isinstance(outcome, Failed)
    assert "tenant's policy" in outcome.error
    assert server.requests == []


async def test_a_tenants_policy_that_cannot_be_read_stops_the_node(
    ask: Ask, server: ModelServer, registry_pool: Pool
):
    policy = {"model_allowlist": "gpt"}
    await Tenants(registry_pool).update_tenant(COMMAND_LINE, "default", TenantChanges(policy=policy))
    outcome = await ask({"prompt_ref": "Go."})
    assert isinstance(outcome, Failed)
    assert "model_allowlist" in outcome.error
    assert server.requests == []


async def test_a_blocked_tool_is_not_offered(ask: Ask, server: ModelServer):
    tools = [{"type": "function", "function": {"name": name}} for name in ("shell.run", "lookup")]
    await ask({"prompt_ref": "Go.", "tools": tools}, policy={"blocked_tools": ["shell.*"]})
    assert [tool["function"]["name"] for tool in server.requests[0]["tools"]] == ["lookup"]


async def test_the_offline_model_calls_tools_as_it_is_told(registry_pool: Pool):
    tool = {"type": "function", "function": {"name": "add", "parameters": {"properties": {"a": "number"}}}}
    kind = {"prompt_ref": 'call add {"a": 2}', "tools": [tool]}
    outcome = await run(visit_of(asking(kind)), registry_pool, Models(settings(jamjet_model="offline")))
    assert isinstance(outcome, Completed)
    [call] = outcome.patch["last_model_tool_calls"]
    assert (outcome.patch["last_model_finish_reason"], call["name"], call["arguments"]) == (
        "tool_calls",
        "add",
        {"a": 2},
    )


async def test_a_workflow_routes_by_what_the_model_says_and_tells_what_it_has_used(
    registry_dsn: str, server: ModelServer
):
    server.answers[0] = seam_answer(json.dumps({"passed": True}))
    nodes = {
        "judge": {"type": "model", "model_ref": "gpt-4o", "prompt_ref": "Judge.", "output_schema": "verdict"},
        "gate": branches(good="state.verdict.passed == true", bad=None),
        "good": {"type": "end"},
        "bad": {"type": "end"},
    }
    flow = document(nodes, [("judge", "gate")])
    async with running_registry(registry_dsn, worker=True, jamjet_model_seam_url=server.url) as served:
        execution = await start(served.registry, flow)
        row = await until(served.registry, execution)
        events = await events_of(served.registry, execution)
    [judged] = [event for event in events if (event.type, event.node_id) == ("node_completed", "judge")]
    assert (row.status, row.cost_usd, row.tokens_used) == ("completed", 0.25, 18)
    assert (judged.data["gen_ai_model"], judged.data["input_tokens"]) == ("anthropic/claude-test", 11)
    assert ("node_completed", "good") in [(event.type, event.node_id) for event in events]


async def test_strategies_and_agents_of_jamjets_compilers_run_to_their_ends(registry_dsn: str):
    given = {"question": "Why?", "topic": "tea", "messages": [{"role": "user", "content": "Hi"}]}
    async with running_registry(registry_dsn, worker=True, jamjet_model="offline") as served:
        for sample in ("05", "06", "07", "11"):
            execution = await start(served.registry, load_sample(sample), **given)
            row = await until(served.registry, execution)
            assert (sample, row.status, row.error) == (sample, "completed", None)
            assert "offline model" in row.state["last_model_output"]
