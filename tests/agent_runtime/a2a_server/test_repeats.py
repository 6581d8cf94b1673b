"""A message that is sent again is not done again: its sender gets the task that is there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import pytest_asyncio

from groundwork.postgres.pool import Pool
from tests.agent_runtime.a2a_server.serving import Json, Script, Served, headers, serving, text_message

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA, BEN = "token-of-ada", "token-of-ben"
TOKENS = f"ada={ADA},ben={BEN}"


@pytest_asyncio.fixture(loop_scope="module")
async def replicas(pool: Pool) -> AsyncIterator[tuple[Served, Served]]:
    """Two processes of an agent, which run turns by one script."""
    script = Script()
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(serving(pool, script=script, a2a_tokens=TOKENS)) for _ in range(2)
        ]
        yield one, other


async def post(replica: Served, message: Json, *, token: str = ADA, **more: str) -> httpx.Response:
    sent = headers(token) | {name.replace("_", "-"): value for name, value in more.items()}
    return await replica.http.post("/a2a/message:send", json={"message": message}, headers=sent)


def task_of(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["task"]


async def test_a_message_that_comes_many_times_at_once_is_done_once(replicas: tuple[Served, Served]) -> None:
    message = text_message("go")
    answers = await asyncio.gather(*(post(replica, message) for replica in replicas for _ in range(5)))
    assert len({task_of(answer)["id"] for answer in answers}) == 1
    assert len(replicas[0].script.requests) == 1
    await post(replicas[0], {**message, "parts": [{"text": "go on"}]})
    await post(replicas[0], message, token=BEN)
    assert len(replicas[0].script.requests) == 3


async def test_a_stream_that_is_asked_for_again_joins_the_task_on_another_replica(
    replicas: tuple[Served, Served],
) -> None:
    one, other = replicas
    message = text_message("hold one")
    first = asyncio.create_task(post(one, message))
    await one.script.begun("hold one")
    body = {"message": message}
    async with other.http.stream("POST", "/a2a/message:stream", json=body, headers=headers(ADA)) as stream:
        lines = stream.aiter_lines()
        begun = await anext(lines)
        one.script.gate("one").set()
        rest = [line async for line in lines]
    assert (await first).json()["task"]["id"] in begun
    assert "TASK_STATE_WORKING" in begun
    assert "TASK_STATE_COMPLETED" in "".join(rest)


async def test_a_key_names_one_message(replicas: tuple[Served, Served]) -> None:
    one, other = replicas
    message = text_message("go")
    first = task_of(await post(one, message, idempotency_key="k1"))
    assert task_of(await post(other, message, idempotency_key="k1"))["id"] == first["id"]
    refused = await post(other, text_message("go"), idempotency_key="k1")
    assert (refused.status_code, "Idempotency-Key" in refused.text) == (400, True)
    assert task_of(await post(one, message, idempotency_key="k2"))["id"] != first["id"]
    assert (await post(one, message, idempotency_key="k" * 256)).status_code == 400


async def test_a_bare_answer_is_given_again(replicas: tuple[Served, Served]) -> None:
    one, other = replicas
    message = text_message("reply hello")
    first = (await post(one, message)).json()["message"]
    assert (await post(other, message)).json()["message"] == first


async def test_an_answer_to_a_question_is_taken_once(replicas: tuple[Served, Served]) -> None:
    one, other = replicas
    task = task_of(await post(one, text_message("ask which?")))
    answer = text_message("blue", taskId=task["id"])
    first = task_of(await post(one, answer))
    assert task_of(await post(other, answer))["artifacts"] == first["artifacts"]
    assert len(one.script.requests) == 2


async def test_anonymous_callers_may_repeat_themselves_in_a_context_they_name(pool: Pool) -> None:
    async with serving(pool) as agent:
        message = text_message("go", contextId="c1")
        ids = {task_of(await post(agent, message, token=""))["id"] for _ in range(2)}
        nowhere = text_message("go")
        others = {task_of(await post(agent, nowhere, token=""))["id"] for _ in range(2)}
    assert (len(ids), len(others)) == (1, 2)
