"""Ten times what can be done: the rest is refused at once, what was accepted is done, and all is well again."""

import asyncio
import math
import time
from collections import Counter
from itertools import count
from pathlib import Path

import httpx

from benchmarks.overload import overload, saying
from tests.agents import SCRIPTED, running_agent, write_project
from tests.registry.registries import running_registry

MOST = 10
TURN_SECONDS = 0.5
"""So ten turns at a time are twenty per second."""

CLIENTS, SECONDS = 50, 1.5
"""Ten times as many as a registry answers at a time, each again at once, whatever it is told."""


async def test_an_agent_refuses_what_is_too_much_and_does_what_it_has_accepted(
    tmp_path: Path, database_url: str
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url, max_turns=MOST) as agent:
        url = httpx.URL(agent.url)
        sleep, rate = saying(f"sleep {TURN_SECONDS}"), 10 * MOST / TURN_SECONDS
        flood = await overload(url.host, url.port or 0, sleep, rate, 1.5, well=2 * TURN_SECONDS)
        ended = [line for line in agent.journal() if line.startswith("end")]
        metrics = (await agent.http.get("/metrics")).text
        assert 'agent_refused_total{what="turn"} 0.0' not in metrics
    assert flood.broken == []
    assert len(flood.accepted) >= MOST
    assert len(flood.refused) > 3 * len(flood.accepted)
    # The flood's last turn, and those of looking whether all is well again.
    assert len(ended) > len(flood.accepted)
    assert sorted(flood.refused)[len(flood.refused) // 2] < 4 * TURN_SECONDS
    assert flood.recovered_after < 5


async def test_both_bindings_say_when_to_come_again(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url, max_turns=1) as agent:
        held = asyncio.create_task(agent.send("hold one"))
        while not agent.journal():
            await asyncio.sleep(0.02)
        message = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hello"}]}}
        error = (await agent.rpc("SendMessage", message))["error"]
        rest = await agent.http.post("/a2a/message:send", json=message, headers={"A2A-Version": "1.0"})
        agent.release("one")
        await held
        assert (await agent.send("echo hello"))["task"]
    assert (error["code"], error["data"][0]["metadata"]) == (-32000, {"retryAfterSeconds": "1"})
    assert (rest.status_code, rest.headers["retry-after"]) == (503, "1")
    assert rest.json()["error"]["status"] == "UNAVAILABLE"


async def test_a_registry_refuses_what_is_too_much_and_hears_signs_of_life(registry_dsn: str) -> None:
    async with running_registry(registry_dsn, max_requests=5) as served:
        card = {"id": "one", "uri": "http://one.test", "name": "One"}
        assert (await served.http.post("/agents", json=card)).status_code == 201
        limits = httpx.Limits(max_connections=60)
        async with httpx.AsyncClient(
            base_url=served.url, headers=served.http.headers, limits=limits, timeout=30
        ) as http:
            work = [http.get("/agents") for _ in range(200)]
            looks = [http.get(path) for path in ("/health", "/metrics", "/readyz", "/jamjet/health")]
            beats = [http.post("/agents/one/heartbeat", json={}) for _ in range(10)]
            answers = await asyncio.gather(*work, *looks, *beats)
        statuses = Counter(answer.status_code for answer in answers[:200])
        assert set(statuses) == {200, 503}
        assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 503} == {"1"}
        assert {answer.status_code for answer in answers[200:]} == {200}
        assert (await served.http.get("/agents")).status_code == 200
        assert f'registry_refused_total{{what="request"}} {statuses[503]}.0' in (await http_get(served.url))


async def test_a_registry_has_done_what_it_accepted_and_is_well_again_soon_after_too_much(
    registry_dsn: str,
) -> None:
    async with running_registry(registry_dsn, max_requests=CLIENTS // 10) as served:
        registered, usual = Counter[int](), min([await seconds_to_list(served.http) for _ in range(5)])
        accepted: list[str] = []

        async def register(http: httpx.AsyncClient, client: int) -> None:
            for number in count():
                if clock() > until:
                    return
                card = {"id": f"agent-{client}-{number}", "uri": "http://one.test", "name": "One"}
                answer = await http.post("/agents", json=card)
                registered[answer.status_code] += 1
                if answer.status_code == 201:
                    accepted.append(card["id"])

        clock = asyncio.get_running_loop().time
        until = clock() + SECONDS
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(
            base_url=served.url, headers=served.http.headers, limits=limits, timeout=30
        ) as http:
            await asyncio.gather(*(register(http, client) for client in range(CLIENTS)))
        ended = clock()
        while await seconds_to_list(served.http) > max(5 * usual, 0.05):
            assert clock() < ended + 5
        assert set(registered) == {201, 503}
        assert len(accepted) >= CLIENTS // 10
        async with served.registry.pool.connection() as conn:
            stored = await (await conn.execute("SELECT agent_id FROM agents")).fetchall()
        assert sorted(row["agent_id"] for row in stored) == sorted(accepted)


async def seconds_to_list(http: httpx.AsyncClient) -> float:
    """For ever, when it is refused."""
    began = time.perf_counter()
    answer = await http.get("/agents", params={"limit": 1})
    return time.perf_counter() - began if answer.status_code == 200 else math.inf


async def http_get(url: str) -> str:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"{url}/metrics")).text


async def test_the_admin_api_refuses_what_is_too_much(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path), database_url, max_requests=2) as agent:
        answers = await asyncio.gather(*(agent.http.get("/api/v1/memory/threads") for _ in range(60)))
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {200, 503}
        assert {(answer.headers["retry-after"], answer.json()["error"]["code"]) for answer in refused} == {
            ("1", "UNAVAILABLE")
        }
        assert (await agent.http.get("/api/v1/memory/threads")).status_code == 200
