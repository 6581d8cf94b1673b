"""LangChain's `create_agent` with approvals of tool calls, in both modes of its middleware."""

from typing import Any

import pytest

from tests.strangers.serving import STRICT_MODEL, Serve, answer, say, state_of, status_data, status_text

APPROVED = """
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware

allowed = {{"pay": {{"allowed_decisions": ["approve", "edit", "reject"]}}}}
review = HumanInTheLoopMiddleware(interrupt_on=allowed, interrupt_mode={mode!r})
graph = create_agent(StrictModel(), [pay], middleware=[review])
"""
TWO_CALLS = 'call pay {"amount": 5}\ncall pay {"amount": 6}'
EDIT = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 7}}}


ANSWERS: list[tuple[Any, list[str]]] = [
    ("approve", ["paid 5", "paid 6"]),
    ("Reject", []),
    ('{"decisions": [{"type": "approve"}, {"type": "reject"}]}', ["paid 5"]),
    ({"decisions": [{"type": "approve"}, EDIT]}, ["paid 5", "paid 7"]),
    ([{"type": "approve"}, {"type": "reject", "message": "too much"}], ["paid 5"]),
    ({"resume": {"decisions": [EDIT, {"type": "approve"}]}}, ["paid 6", "paid 7"]),
]


async def test_an_approval_is_answered_as_langchain_says_or_with_a_word(serve: Serve) -> None:
    agent = await serve(STRICT_MODEL + APPROVED.format(mode="batched"))
    for given, done in ANSWERS:
        before = len(agent.journal())
        task = await say(agent, TWO_CALLS)
        assert "'amount': 5" in status_text(task)
        assert "Accepted: approve, edit, reject." in status_text(task)
        assert len(status_data(task)[0]["action_requests"]) == 2
        text, data = (given, None) if isinstance(given, str) else ("", given)
        assert state_of(await answer(agent, task, text, data)) == "completed"
        assert sorted(agent.journal()[before:]) == done


@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_an_answer_of_the_wrong_form_leaves_the_question_open_and_says_what_is_accepted(
    serve: Serve, mode: str
) -> None:
    agent = await serve(STRICT_MODEL + APPROVED.format(mode=mode))
    task = await say(agent, 'call pay {"amount": 5}')
    wrong: list[Any] = [
        "maybe",
        {"decisions": []},
        {"type": "respond", "message": "no"},
        [{"type": "approve"}] * 2,
    ]
    for data in wrong:
        task = await answer(agent, task, data=data)
        assert state_of(task) == "input-required"
        assert "does not take this answer" in status_text(task)
        assert "approve" in status_text(task)
    assert state_of(await answer(agent, task, "approve")) == "completed"
    assert agent.journal() == ["paid 5"]


async def test_approvals_of_single_calls_are_answered_together_by_their_ids(serve: Serve) -> None:
    agent = await serve(STRICT_MODEL + APPROVED.format(mode="per_call"))
    task = await say(agent, TWO_CALLS)
    ids = [question["id"] for question in status_data(task)[-1]["questions"]]
    # One of the two is not of the right form: neither call is made.
    task = await answer(agent, task, data={ids[0]: {"type": "approve"}, ids[1]: {"type": "edit"}})
    assert (state_of(task), agent.journal()) == ("input-required", [])
    task = await answer(agent, task, data={ids[0]: {"type": "approve"}, ids[1]: EDIT})
    assert (state_of(task), sorted(agent.journal())) == ("completed", ["paid 5", "paid 7"])


async def test_a_cancelled_approval_does_not_poison_the_conversation(serve: Serve) -> None:
    agent = await serve(STRICT_MODEL + APPROVED.format(mode="batched"))
    task = await say(agent, TWO_CALLS)
    await agent.rpc("CancelTask", {"id": task["id"]})
    assert state_of(await say(agent, "hello", task["contextId"])) == "completed"
    results = [m for m in await agent.messages(task["contextId"]) if m["role"] == "tool"]
    assert len(results) == 2
    assert "cancelled" in results[0]["content"]
