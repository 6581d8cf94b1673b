"""Evaluations: what the scorers say, and what comes of it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from groundwork.postgres.pool import Pool
from registry.access import COMMAND_LINE
from registry.engine.executors.scoring import read_score
from registry.executions.events import Completed, Failed
from registry.outbound.models import Models, open_models
from registry.runtime import Registry
from tests.registry.engine.executions import events_of, start, story, until
from tests.registry.engine.model_server import ModelServer, running_model_server, seam_answer
from tests.registry.engine.visits import run, settings, visit_of
from tests.registry.engine.workflows import STEP, branches, document
from tests.registry.registries import running_registry

NO_ANSWER = {"type": "assertion", "checks": ["output.content != null"]}
LONG = {"type": "assertion", "checks": ["len(output.content) >= 10"]}
JUDGE = {"type": "llm_judge", "model": "judge", "rubric": "Is it kind?", "min_score": 4}
WRITE = {"type": "model", "model_ref": "writer", "prompt_ref": "Write."}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as server:
        yield server


@pytest.fixture
async def models(server: ModelServer) -> AsyncIterator[Models]:
    async with open_models(settings(jamjet_model_seam_url=server.url)) as models:
        yield models


@pytest.fixture
async def engine(registry_dsn: str, server: ModelServer) -> AsyncIterator[Registry]:
    async with running_registry(registry_dsn, worker=True, jamjet_model_seam_url=server.url) as served:
        yield served.registry


def scored(*scorers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "eval", "scorers": list(scorers), **more}


def writing(*scorers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A model writes, and what it writes is scored."""
    nodes = {"write": WRITE, "score": scored(*scorers, **more), "after": STEP}
    return document(nodes, [("write", "score"), ("score", "after")])


# Scorers


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        ("'summary' in output", True),
        ("'draft' in output", False),
        ("len(output.points) >= 2", True),
        ("len(output.points) >= 3", False),
        ("output.tone == 'kind'", True),
        ("output.tone == 'cold'", False),
        ("output.summary != null", True),
        ("output.draft != null", False),
        ("len(output['summary']) > 3", True),
        ("state.limit == 2", True),
    ],
)
async def test_assertions_are_expressions_about_the_output(
    registry_pool: Pool, models: Models, check: str, holds: bool
):
    flow = document({"score": scored({"type": "assertion", "checks": [check]}, on_fail="log_and_continue")}, [])
    output = {"summary": "Fine.", "points": [1, 2], "tone": "kind"}
    outcome = await run(visit_of(flow, {"limit": 2}, output=output), registry_pool, models)
    assert isinstance(outcome, Completed)
    assert outcome.patch["eval_passed"] is holds
    [result] = outcome.patch["eval_results"]
    assert (result["scorer"], result["score"], check in result["message"]) == (
        "assertion",
        float(holds),
        not holds,
    )


async def test_something_else_than_the_last_output_can_be_looked_at(registry_pool: Pool, models: Models):
    check = {"type": "assertion", "checks": ["output.passed == true"]}
    flow = document({"score": scored(check, input_expr="state.verdict")}, [])
    outcome = await run(visit_of(flow, {"verdict": {"passed": True}}, output={}), registry_pool, models)
    assert isinstance(outcome, Completed)
    assert outcome.patch["eval_action"] == "continue"


async def test_all_scorers_have_to_pass(registry_pool: Pool, models: Models):
    flow = document({"score": scored(NO_ANSWER, LONG, on_fail="log_and_continue")}, [])
    outcome = await run(visit_of(flow, output={"content": "short"}), registry_pool, models)
    assert isinstance(outcome, Completed)
    assert [result["passed"] for result in outcome.patch["eval_results"]] == [True, False]
    assert (outcome.patch["eval_passed"], outcome.patch["eval_action"]) == (False, "log_and_continue")
    assert outcome.output["passed"] is False


async def test_a_judge_is_asked_with_the_rubric_and_what_there_is_to_judge(
    registry_pool: Pool, models: Models, server: ModelServer
):
    server.answers[0] = seam_answer('I think: {"score": 4.5, "reason": "It is."}')
    flow = document({"score": scored(JUDGE)}, [], models={"judge": {"provider": "openai", "model": "gpt-4o"}})
    outcome = await run(visit_of(flow, output={"content": "Dear {all}"}), registry_pool, models)
    assert isinstance(outcome, Completed)
    assert outcome.patch["eval_results"][0]["message"] == "4.5 of 5 (at least 4): It is."
    assert (outcome.usage["cost_usd"], outcome.usage["input_tokens"]) == (0.25, 11)
    assert server.requests[0]["model"] == "openai/gpt-4o"
    asked = server.requests[0]["messages"][0]["content"]
    assert "Is it kind?" in asked
    assert '{"content": "Dear {all}"}' in asked


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"score": 4, "reason": "good"}', 4),
        ('```json\n{"score": "3"}\n```', 3),
        ('{"example": {"score": 1}} and so {"score": 5}', 5),
        ("I give it 4/5.", 4),
        ("4.5 / 5", 4.5),
        (" 3 ", 3),
        ('{"score": 9}', None),
        ('{"score": true}', None),
        ('{"score": null} 14/5', None),
        ('{"score": <number>, "reason": "…"}', None),
        ("It is good.", None),
        ("{" * 20_000, None),
        ("nan", None),
    ],
)
def test_a_score_is_found_in_what_judges_say(text: str, score: float | None):
    found = read_score(text)
    assert (found[0] if found else None) == score


async def test_a_judge_without_a_score_lets_nothing_pass(registry_pool: Pool, models: Models, server: ModelServer):
    server.answers[0] = "Lovely!"
    flow = document({"score": scored(JUDGE)}, [])
    outcome = await run(visit_of(flow, output="x"), registry_pool, models)
    assert isinstance(outcome, Failed)
    assert "the judge gave no score: Lovely!" in outcome.error


async def test_a_judge_that_cannot_be_asked_is_asked_again(
    registry_pool: Pool, models: Models, server: ModelServer
):
    server.answers[0] = {"status": 429, "retry_after": 3}
    outcome = await run(visit_of(document({"score": scored(JUDGE)}, []), output="x"), registry_pool, models)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable, outcome.retry_after) == ("rate_limit", True, 3)


async def test_a_judge_that_is_not_allowed_is_not_asked(registry_pool: Pool, models: Models, server: ModelServer):
    flow = document({"score": scored(JUDGE)}, [], policy={"model_allowlist": ["openai/*"]})
    outcome = await run(visit_of(flow, output="x"), registry_pool, models)
    assert isinstance(outcome, Failed)
    assert [event.type for event in outcome.events] == ["policy_violation"]
    assert server.requests == []


async def test_a_scorer_in_python_is_refused_by_its_name(registry_pool: Pool, models: Models):
    flow = document({"score": scored({"type": "custom", "module": "my.scorers"})}, [])
    outcome = await run(visit_of(flow, output="x"), registry_pool, models)
    assert isinstance(outcome, Failed)
    assert "my.scorers" in outcome.error


async def test_time_and_cost_are_those_of_the_node_before(engine: Registry):
    limits = {"type": "latency", "threshold_ms": 60_000}, {"type": "cost", "threshold_usd": 0.2}
    execution = await start(engine, writing(*limits, on_fail="log_and_continue"))
    row = await until(engine, execution)
    latency, cost = row.state["eval_results"]
    assert (latency["passed"], cost["passed"], cost["score"]) == (True, False, 0.25)


async def test_a_cost_that_nobody_told_is_not_within_a_limit(engine: Registry, server: ModelServer):
    server.answers[0] = seam_answer("Hello.", cost_usd=None)
    cost = {"type": "cost", "threshold_usd": 100.0}
    execution = await start(engine, writing(cost, on_fail="log_and_continue"))
    row = await until(engine, execution)
    assert row.state["eval_results"][0]["message"] == "nobody told what anthropic/claude-test has cost"


# What comes of it


async def test_what_fails_an_evaluation_can_end_the_run(engine: Registry):
    execution = await start(engine, writing(LONG, on_fail="halt"))
    row = await until(engine, execution)
    assert (row.status, "does not hold" in (row.error or "")) == ("failed", True)


async def test_the_node_before_is_asked_again_and_told_what_was_wrong(engine: Registry, server: ModelServer):
    server.answers.extend([seam_answer("Too short"), seam_answer("Now it is long enough.")])
    server.answers.popleft()
    execution = await start(engine, writing(LONG, on_fail="retry_with_feedback", max_retries=2))
    row = await until(engine, execution)
    assert (row.status, row.state["eval_passed"]) == ("completed", True)
    assert row.state["last_model_output"] == "Now it is long enough."
    assert row.state["eval_feedback"] is None
    first, second = [request["messages"] for request in server.requests]
    assert len(first) == 1
    assert "len(output.content) >= 10" in second[1]["content"]
    told = await story(engine, execution)
    assert (told.count("node_completed write"), told.count("node_completed after")) == (2, 1)
    assert not [line for line in told if line.startswith("node_skipped")]


async def test_it_is_asked_again_only_so_often_and_then_the_run_goes_on(engine: Registry, server: ModelServer):
    execution = await start(engine, writing(LONG, on_fail="retry_with_feedback", max_retries=2))
    row = await until(engine, execution)
    assert (row.status, row.state["eval_passed"], row.state["eval_action"]) == (
        "completed",
        False,
        "retry_with_feedback",
    )
    assert len(server.requests) == 3


async def test_a_run_that_goes_back_meets_its_branches_again(engine: Registry, server: ModelServer):
    server.answers.extend([seam_answer("Too short"), seam_answer("Now it is long enough.")])
    server.answers.popleft()
    nodes: dict[str, dict[str, Any]] = {
        "fork": STEP,
        "write": {**WRITE, "output_schema": "content"},
        "beside": STEP,
        "meet": STEP,
        "score": scored(LONG, on_fail="retry_with_feedback", max_retries=1, input_expr="state"),
    }
    ways = [("fork", "write"), ("fork", "beside"), ("write", "score"), ("score", "meet"), ("beside", "meet")]
    execution = await start(engine, document(nodes, ways))
    row = await until(engine, execution)
    told = await story(engine, execution)
    assert (row.status, row.state["eval_passed"]) == ("completed", True)
    assert (told.count("node_completed write"), told.count("node_completed meet")) == (2, 1)


async def test_an_escalation_waits_for_a_person_and_keeps_the_results(engine: Registry, server: ModelServer):
    server.answers.extend([seam_answer("Hello."), seam_answer(json.dumps({"score": 2}))])
    server.answers.popleft()
    execution = await start(engine, writing(JUDGE, on_fail="escalate"))
    await until(engine, execution, "paused")
    await engine.executions.approve(COMMAND_LINE, execution, decision="approved", state_patch={"note": "fine"})
    row = await until(engine, execution)
    assert (row.status, row.state["note"], row.state["decision"]) == ("completed", "fine", "approved")
    assert (row.state["eval_passed"], row.state["eval_action"]) == (False, "escalate")
    assert (len(server.requests), row.cost_usd) == (2, 0.5)


async def test_an_escalation_that_is_rejected_ends_the_run(engine: Registry):
    execution = await start(engine, writing(LONG, on_fail="escalate"))
    await until(engine, execution, "paused")
    await engine.executions.approve(COMMAND_LINE, execution, decision="rejected", comment="no")
    row = await until(engine, execution)
    assert (row.status, "approval rejected" in (row.error or "")) == ("failed", True)


async def test_where_the_workflow_asks_somebody_itself_nobody_is_asked_twice(engine: Registry):
    nodes = {
        "write": WRITE,
        "score": scored(LONG, on_fail="escalate"),
        "gate": branches(sign="state.eval_action == 'escalate'", end=None),
        "sign": {"type": "human_approval", "description": "Good enough?"},
    }
    execution = await start(engine, document(nodes, [("write", "score"), ("score", "gate"), ("sign", "end")]))
    await until(engine, execution, "paused")
    raised = [event.node_id for event in await events_of(engine, execution) if event.type == "interrupt_raised"]
    assert raised == ["sign"]
