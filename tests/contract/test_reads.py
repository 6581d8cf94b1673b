"""No GET changes anything: every row of the database is, to the byte and the transaction, what it was before."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import sql

from groundwork.postgres.pool import Pool
from registry.agents import liveness
from tests.agents import SCRIPTED, running_agent, write_project
from tests.contract.agent_who import MISTAKES, WHO
from tests.registry.executions.runs import REVIEW, TWO_STEPS, start, until
from tests.registry.registries import Served, running_registry
from tests.registry.who import WHO as REGISTRYS_WHO

CHANGED_BY_TIME = frozenset({"agent_processes", "tokens.last_used_at"})
"""Signs of life, and when a token was last seen."""

QUERIES = {
    "/agents/search": "?skills=any",
    "/api/v1/memory/threads/export": "?all=true",
    "/store/items": "?namespace=notes&key=one",
}
"""What routes cannot be asked without."""

NOTHING_TO_SHOW = frozenset({"GET /a2a/extendedAgentCard", "GET /assistants/{assistant_id}/subgraphs/{namespace}"})
"""The agent has one card, the public one, and no other for those with a token; its graph has no subgraph."""

BY_AN_AGENT = frozenset({"GET /agents/{agent_id}/admin/{path:path}", "GET /agents/{agent_id}/tasks/{task_id}"})
"""Answered by the agent, and nobody stands behind this one's address."""

_COLUMNS = """
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) AS columns
  FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
 WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
 GROUP BY table_name
"""

Row = tuple[str, ...]


async def test_no_get_changes_anything_of_an_agent(tmp_path: Path, database_url: str, pool: Pool) -> None:
    project = write_project(tmp_path, SCRIPTED)
    settings: dict[str, Any] = {"internal_runtime_control_enabled": True, "registry_url": "http://127.0.0.1:9"}
    async with running_agent(project, database_url, **settings) as agent:
        said = ("artifacts", "fail x", "ask y")
        task_ids = [(await agent.send(text, contextId="c"))["task"]["id"] for text in said]
        await agent.http.patch("/api/v1/memory/config", json={"window_size": 7})
        hook = {"taskId": task_ids[2], "id": "hook", "url": "http://127.0.0.1:9/"}
        assert "error" not in await agent.rpc("CreateTaskPushNotificationConfig", hook)
        names = {"id": task_ids, "task_id": task_ids, "push_id": ["hook"]} | await something_of_langgraph(
            agent.http
        )
        names["thread_id"].append("c")
        before = await settled_rows(pool)
        assert {"a2a_tasks", "a2a_push_configs", "agent_threads", "agent_settings"} <= {row[0] for row in before}
        answered = await look_everywhere(agent.http, WHO | MISTAKES, names, {"A2A-Version": "1.0"})
        assert answered >= {route for route in WHO if is_read(route)} - NOTHING_TO_SHOW
        assert await settled_rows(pool) == before


async def test_no_get_changes_anything_of_a_registry(
    registry_dsn: str, registry_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_registry(registry_dsn, worker=True) as served:
        names = await something_of_everything(served)
    # After it has stood still, as on a busy machine, the registry gives agents more time at its next pulse.
    monkeypatch.setattr(liveness, "_PULSE_SECONDS", 3600)
    async with running_registry(registry_dsn) as served:
        viewer = await served.client_of("viewer")
        before = await settled_rows(registry_pool)
        for http in (served.http, viewer, await served.client()):
            answered = await look_everywhere(http, REGISTRYS_WHO, names)
            if http is served.http:
                assert answered == {route for route in REGISTRYS_WHO if is_read(route)} - BY_AN_AGENT
        assert await settled_rows(registry_pool) == before


async def something_of_langgraph(http: httpx.AsyncClient) -> dict[str, list[str]]:
    """What stands in the paths of LangGraph's API, once a run of a thread has ended."""
    [assistant] = (await http.post("/assistants/search", json={})).json()
    thread_id = (await http.post("/threads", json={})).json()["thread_id"]
    said = {"messages": [{"role": "user", "content": "hello"}]}
    run = await http.post(
        f"/threads/{thread_id}/runs", json={"assistant_id": assistant["graph_id"], "input": said}
    )
    await http.get(f"/threads/{thread_id}/runs/{run.json()['run_id']}/join")
    state = (await http.get(f"/threads/{thread_id}/state")).json()
    item = {"namespace": ["notes"], "key": "one", "value": {"text": "x"}}
    assert (await http.put("/store/items", json=item)).is_success
    return {
        "assistant_id": [assistant["assistant_id"]],
        "thread_id": [thread_id],
        "run_id": [run.json()["run_id"]],
        "checkpoint_id": [state["checkpoint"]["checkpoint_id"]],
    }


async def something_of_everything(served: Served) -> dict[str, list[str]]:
    """What places in paths stand for, once there is something at each of them."""
    http = served.http
    card = {"id": "one", "uri": "http://one.test/", "name": "One", "heartbeat_seconds": 600}
    puts = [
        await http.post("/agents", json=card),
        await http.post("/agents/one/activate"),
        await http.put("/components/prompt/greeting", json={"template": "Hello"}),
        await http.post("/tenants", json={"id": "acme", "name": "Acme"}),
    ]
    stored = await http.post("/artifacts", content=b"x", headers={"Content-Type": "text/plain"})
    erasure = await http.post("/erasures", json={"caller": "ada"})
    token = await http.post("/tokens", json={"role": "viewer", "name": "reader"})
    done, waiting = [
        await start(http, ir | {"workflow_id": name}) for name, ir in (("done", TWO_STEPS), ("waits", REVIEW))
    ]
    await until(http, done)
    await until(http, waiting, "paused")
    [decision] = (await http.get("/decisions")).json()["decisions"]
    job = {"name": "yearly", "cron_expression": "0 0 29 2 *", "workflow_id": "done", "input": {}}
    puts += [stored, token, erasure, await http.post("/cron", json=job)]
    assert [answer.text for answer in puts if not answer.is_success] == []
    return {
        "agent_id": ["one"],
        "kind": ["prompt"],
        "component_id": ["greeting"],
        "tenant_id": ["acme"],
        "decision_id": [decision["decision_id"]],
        "erasure_id": [erasure.json()["erasure_id"]],
        "digest": [stored.json()["hash"]],
        "token_id": [token.json()["token_id"]],
        "execution_id": [done, waiting],
        "workflow_id": ["done", "waits"],
    }


def is_read(route: str) -> bool:
    return route.startswith("GET ")


async def look_everywhere(
    http: httpx.AsyncClient,
    routes: Iterable[str],
    names: dict[str, list[str]],
    headers: dict[str, str] | None = None,
) -> set[str]:
    """Asks every route that is read for each of these, and for something that is not there; returns those that had
    something to show. A stream is left as soon as it has begun."""
    shown = set()
    for route in filter(is_read, routes):
        for path in paths(route.removeprefix("GET "), names):
            for accept in ("*/*", "text/event-stream"):
                sent = {"Accept": accept, **(headers or {})}
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5), http.stream("GET", path, headers=sent) as answer:
                        assert answer.status_code < 500 or route in BY_AN_AGENT, path
                        if answer.is_success or path.endswith(":subscribe"):
                            shown.add(route)
                        await answer.aread()
    return shown


def paths(pattern: str, names: dict[str, list[str]]) -> Iterator[str]:
    places = re.findall("{([^}]*)}", pattern)
    for chosen in product(*([*names.get(place, []), "nothing"] for place in places)):
        yield re.sub("{[^}]*}", "{}", pattern).format(*chosen) + QUERIES.get(pattern, "")


async def settled_rows(pool: Pool) -> list[Row]:
    """Every row there is, once what goes on in the background has come to an end."""
    async with asyncio.timeout(20):
        before = await rows(pool)
        while True:
            await asyncio.sleep(0.5)
            after = await rows(pool)
            if after == before:
                return after
            before = after


async def rows(pool: Pool) -> list[Row]:
    """With the table, and with the transaction that has written it, unless time writes it too."""
    found: list[Row] = []
    async with pool.connection() as conn:
        tables = await (await conn.execute(_COLUMNS)).fetchall()
        for table in tables:
            name, columns = str(table["table_name"]), table["columns"]
            if name in CHANGED_BY_TIME:
                continue
            kept = [column for column in columns if f"{name}.{column}" not in CHANGED_BY_TIME]
            if kept == columns:
                kept.append("xmin")
            statement = sql.SQL("SELECT ROW({})::text AS text FROM {}").format(
                sql.SQL(", ").join(map(sql.Identifier, kept)), sql.Identifier(name)
            )
            found += [(name, row["text"]) for row in await (await conn.execute(statement)).fetchall()]
    return sorted(found)
