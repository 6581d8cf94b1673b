"""Which model answers when a workflow names one, and what becomes of its mistakes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from registry.outbound.model_calls import (
    BadMessages,
    ModelCallFailed,
    ModelRequest,
    read_messages,
    read_tools,
    system,
    user,
)
from registry.outbound.model_providers import split_model_id
from registry.outbound.models import Models, open_models
from tests.registry.engine.model_server import ModelServer, openai_answer, running_model_server, seam_answer
from tests.registry.engine.visits import settings

HELLO = ModelRequest("openai/gpt-test", [system("Be brief."), user("Hello?")])
ADD = {
    "type": "function",
    "function": {"name": "add", "parameters": {"properties": {"a": "number", "l": "array"}}},
}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as server:
        yield server


@pytest.fixture
async def seam(server: ModelServer) -> AsyncIterator[Models]:
    async with open_models(settings(jamjet_model_seam_url=server.url)) as models:
        yield models


@pytest.fixture
def openai(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Models:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-key")
    monkeypatch.setenv("OPENAI_API_BASE", f"{server.url}/v1")
    return Models(settings())


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


async def failure(models: Models, request: ModelRequest = HELLO) -> ModelCallFailed:
    with pytest.raises(ModelCallFailed) as caught:
        await models.complete(request)
    return caught.value


# Which model


async def test_without_its_key_a_model_is_a_failure_and_not_another_model(no_keys: None):
    failed = await failure(Models(settings()))
    assert str(failed) == "openai/gpt-test: set OPENAI_API_KEY"
    assert not failed.retryable


async def test_a_model_that_nobody_knows_is_a_failure_that_says_what_to_write():
    failed = await failure(Models(settings()), replace(HELLO, model="default_chat"))
    assert "write provider/model" in str(failed)


async def test_the_offline_model_answers_for_all_when_it_is_chosen(openai: Models, server: ModelServer):
    answer = await Models(settings(jamjet_model="offline")).complete(HELLO)
    assert (answer.model, answer.cost_usd, answer.finish_reason) == ("offline", 0.0, "stop")
    assert "I am the offline model" in answer.content
    assert "JAMJET_MODEL" in answer.content
    assert server.requests == []


async def test_in_developer_mode_the_offline_model_stands_in_and_the_log_says_so(
    no_keys: None, caplog: pytest.LogCaptureFixture
):
    models = Models(settings(jamjet_dev_mode=True))
    assert [(await models.complete(HELLO)).model for _ in range(2)] == ["offline", "offline"]
    assert caplog.text.count("offline model used model=openai/gpt-test: set OPENAI_API_KEY") == 1


async def test_in_developer_mode_a_key_leads_to_the_provider(openai: Models, server: ModelServer):
    answer = await Models(settings(jamjet_dev_mode=True)).complete(HELLO)
    assert answer.model == "gpt-test-2026"


async def test_one_model_can_answer_for_all(openai: Models, server: ModelServer):
    await Models(settings(jamjet_model="openai:other")).complete(replace(HELLO, model="anthropic/claude"))
    assert server.requests[0]["model"] == "other"


async def test_a_chosen_model_that_cannot_be_called_is_a_failure_in_developer_mode_too(no_keys: None):
    failed = await failure(Models(settings(jamjet_dev_mode=True, jamjet_model="openai:other")))
    assert str(failed) == "openai/other: set OPENAI_API_KEY"


async def test_the_seam_is_told_the_chosen_model(server: ModelServer):
    chosen = settings(jamjet_model="openai:other", jamjet_model_seam_url=server.url)
    async with open_models(chosen) as models:
        await models.complete(HELLO)
    assert server.requests[0]["model"] == "openai/other"


@pytest.mark.parametrize(
    ("model_id", "found"),
    [
        ("anthropic/claude-haiku-4-5", ("anthropic", "claude-haiku-4-5")),
        ("openai:gpt-4.1", ("openai", "gpt-4.1")),
        ("google/gemini-2.0-flash", ("google_genai", "gemini-2.0-flash")),
        ("ollama/llama3:8b", ("ollama", "llama3:8b")),
        ("openrouter/meta/llama", ("openrouter", "meta/llama")),
        ("claude-sonnet-4-5", ("anthropic", "claude-sonnet-4-5")),
        ("gpt-4o", ("openai", "gpt-4o")),
        ("gemini-2.0-flash", ("google_genai", "gemini-2.0-flash")),
        ("default_chat", None),
        ("/x", None),
    ],
)
def test_a_models_provider_is_in_its_id_or_known(model_id: str, found: tuple[str, str] | None):
    assert split_model_id(model_id) == found


# The seam


async def test_the_seam_is_asked_as_jamjet_asks_it(seam: Models, server: ModelServer):
    server.answers[0] = seam_answer("Hello.")
    asked = replace(HELLO, tools=read_tools([ADD]), temperature=0.5, max_tokens=64)
    answer = await seam.complete(asked)
    assert server.requests == [
        {
            "model": "openai/gpt-test",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
            "tools": read_tools([ADD]),
            "temperature": 0.5,
            "max_tokens": 64,
        }
    ]
    assert answer.usage == {
        "gen_ai_model": "anthropic/claude-test",
        "input_tokens": 11,
        "output_tokens": 7,
        "finish_reason": "stop",
        "cost_usd": 0.25,
    }


async def test_the_seams_calls_of_tools_are_passed_on(seam: Models, server: ModelServer):
    calls = [{"id": "c1", "name": "add", "arguments": {"a": 2}}, {"id": "c2", "name": "add", "arguments": "{oops"}]
    server.answers[0] = seam_answer(finish_reason="tool_calls", tool_calls=calls)
    answer = await seam.complete(HELLO)
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("c1", "add", {"a": 2}),
        ("c2", "add", "{oops"),
    ]


@pytest.mark.parametrize(("told", "seconds"), [({"retry_after": 7}, 7), ({}, 60), ({"retry_after": 1e9}, 3600)])
async def test_a_limit_at_the_seam_says_when_to_come_again(
    seam: Models, server: ModelServer, told: dict[str, Any], seconds: float
):
    server.answers[0] = {"status": 429, "error": "slow down", **told}
    outcome = (await failure(seam)).outcome()
    assert (outcome.kind, outcome.retryable, outcome.retry_after) == ("rate_limit", True, seconds)


@pytest.mark.parametrize(("status", "retryable"), [(500, True), (503, True), (400, False), (403, False)])
async def test_the_seams_refusals_are_told(seam: Models, server: ModelServer, status: int, retryable: bool):
    server.answers[0] = {"status": status, "error": "no such model"}
    failed = await failure(seam)
    assert (str(failed), failed.retryable) == (f"model seam: {status} no such model", retryable)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": None},
        {"output_tokens": -1},
        {"message": "hi"},
        {"finish_reason": "tool_calls"},
        {"tool_calls": [{"id": "", "name": "add"}]},
    ],
)
async def test_an_answer_of_the_seam_that_makes_no_sense_is_refused(
    seam: Models, server: ModelServer, wrong: dict[str, Any]
):
    server.answers[0] = seam_answer("Hello.", **wrong)
    assert "makes no sense" in str(await failure(seam))


async def test_a_seam_that_is_not_there_is_tried_again_later_and_never_evaded(openai: Models, server: ModelServer):
    async with open_models(settings(jamjet_model_seam_url="http://127.0.0.1:1", jamjet_dev_mode=True)) as models:
        failed = await failure(models)
    assert (failed.kind, failed.retryable) == ("io_error", True)
    assert server.requests == []


# Providers


async def test_a_provider_is_asked_with_the_parameters_of_the_model(openai: Models, server: ModelServer):
    answer = await openai.complete(replace(HELLO, temperature=0.5, max_tokens=64))
    [sent] = server.requests
    assert [message["content"] for message in sent["messages"]] == ["Be brief.", "Hello?"]
    assert (sent["model"], sent["temperature"], sent["max_completion_tokens"]) == ("gpt-test", 0.5, 64)
    assert (answer.content, answer.model) == ("Hello.", "gpt-test-2026")
    assert (answer.input_tokens, answer.output_tokens, answer.cost_usd) == (5, 3, None)


async def test_tools_are_offered_and_their_calls_passed_on(openai: Models, server: ModelServer):
    server.answers[0] = openai_answer(calls={"add": '{"a": 2}', "sub": "{oops"})
    answer = await openai.complete(replace(HELLO, tools=read_tools([ADD])))
    properties = server.requests[0]["tools"][0]["function"]["parameters"]["properties"]
    assert properties == {"a": {"type": "number"}, "l": {"type": "array", "items": {}}}
    assert answer.finish_reason == "tool_calls"
    assert [(call.id, call.arguments) for call in answer.tool_calls] == [
        ("call_add", {"a": 2}),
        ("call_sub", "{oops"),
    ]


async def test_a_conversation_with_calls_and_results_is_told_as_it_was(openai: Models, server: ModelServer):
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
    said = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "4"},
    ]
    await openai.complete(replace(HELLO, messages=read_messages(said)))
    _, asked, result = server.requests[0]["messages"]
    assert asked["tool_calls"] == [call]
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "c1", "4")


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [(429, "rate_limit", True), (500, "server_error", True), (401, "error", False), (400, "error", False)],
)
async def test_a_providers_refusal_is_asked_about_once_and_understood(
    openai: Models, server: ModelServer, status: int, kind: str, retryable: bool
):
    server.answers[0] = {"status": status, "headers": {"retry-after": "9"}, "error": {"message": "no"}}
    failed = await failure(openai)
    assert (failed.kind, failed.retryable) == (kind, retryable)
    assert failed.retry_after == (9.0 if status == 429 else None)
    assert len(server.requests) == 1


async def test_a_provider_that_cannot_be_reached_is_tried_again(openai: Models, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:1/v1")
    failed = await failure(Models(settings()))
    assert (failed.kind, failed.retryable) == ("io_error", True)


async def test_an_answer_that_takes_too_long_is_a_timeout(openai: Models):
    failed = await failure(openai, replace(HELLO, timeout_seconds=0.0001))
    assert (failed.kind, failed.retryable) == ("timeout", True)


async def test_a_model_is_made_once_for_each_set_of_parameters(openai: Models):
    for request in (HELLO, HELLO, replace(HELLO, temperature=1.0)):
        await openai.complete(request)
    assert len(openai._built) == 2


# What is read


@pytest.mark.parametrize(
    "given",
    [
        "hi",
        {"role": "user"},
        ["hi"],
        [{"content": "hi"}],
        [{"role": "robot", "content": "hi"}],
        [{"role": "tool", "content": "4"}],
        [{"role": "user", "content": 4}],
    ],
)
def test_what_is_no_conversation_is_refused(given: Any):
    with pytest.raises(BadMessages):
        read_messages(given)


def test_a_tool_that_is_described_badly_still_has_a_schema():
    [tool] = read_tools([{"function": {"name": "now", "parameters": None}}])
    assert tool["function"]["parameters"] == {"type": "object", "properties": {}}
