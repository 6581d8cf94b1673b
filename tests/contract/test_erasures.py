"""What a person has said is erased in the registry and at every agent, also at one that was down."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg

from tests.agents import running_agent, write_project
from tests.registry.registries import Served

CANARY = "canary-of-ada"
PERSON = "ada-lovelace"
TOKENS = f"{PERSON}=ada-secret,ben=ben-secret"
QUICK = 0.2

HELLO = {
    "workflow_id": "hello",
    "version": "1",
    "name": "hello",
    "start_node": "wait",
    "nodes": {"wait": {"id": "wait", "kind": {"type": "human_approval", "description": "go on?"}}},
    "edges": [],
}


def texts_in(dsn: str, word: str) -> dict[str, int]:
    """The tables in which the word stands, in whichever column, bytes included; how many rows each."""
    found = {}
    with psycopg.connect(dsn) as conn:
        tables = conn.execute(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            columns = conn.execute(
                "SELECT quote_ident(column_name), data_type FROM information_schema.columns WHERE table_name = %s",
                (table,),
            ).fetchall()
            tests = [
                f"position(convert_to('{word}', 'UTF8') IN {name}) > 0"
                if kind == "bytea"
                else f"position('{word}' IN {name}::text) > 0"
                for name, kind in columns
            ]
            row = conn.execute(f"SELECT count(*) FROM {table} WHERE {' OR '.join(tests)}").fetchone()
            assert row is not None
            if row[0]:
                found[table] = row[0]
    return found


async def completed(registry: Served, erasure_id: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            erasure: dict[str, Any] = (await registry.http.get(f"/erasures/{erasure_id}")).json()
            if erasure["status"] == "completed":
                return erasure
            await asyncio.sleep(0.1)


async def test_what_a_person_has_said_is_gone_everywhere_once_the_last_agent_is_back(
    tmp_path: Path, database_url: str, registry: Served, registry_dsn: str
) -> None:
    given: dict[str, Any] = {
        "registry_url": registry.url,
        "registry_token": registry.token,
        "registry_heartbeat_seconds": QUICK,
        "a2a_tokens": TOKENS,
    }
    directory = write_project(tmp_path / "agent")
    operator = {"Authorization": f"Bearer {await registry.make_token('operator')}"}
    for name in ("away", "here"):
        async with running_agent(directory, database_url, name, **given) as agent:
            for user, said in (("ada", CANARY), ("ben", "canary-of-ben")):
                await agent.send(said, contextId=f"{user} at {name}", token=f"{user}-secret")
    stored = await registry.http.post(
        "/artifacts", content=CANARY.encode(), headers={**operator, "Content-Type": "text/plain"}
    )
    assert (await registry.http.post("/workflows", json={"ir": HELLO}, headers=operator)).status_code == 201
    for caller, told in ((PERSON, [CANARY, stored.json()["hash"]]), ("ben", ["canary-of-ben"])):
        body: dict[str, Any] = {"workflow_id": "hello", "input": {"caller": caller, "said": told}}
        started = await registry.http.post("/executions", json=body, headers=operator)
        assert started.status_code == 201, started.text
        path = f"/executions/{started.json()['execution_id']}/external-event"
        event: dict[str, Any] = {"correlation_key": "later", "payload": {"said": told}}
        assert (await registry.http.post(path, json=event, headers=operator)).status_code < 300
    assert set(texts_in(registry_dsn, CANARY)) >= {"executions", "artifacts", "kept_events"}

    async with running_agent(directory, database_url, "here", **given):
        dry = await registry.http.post("/erasures?dry_run=true", json={"caller": PERSON}, headers=operator)
        asked = await registry.http.post("/erasures", json={"caller": PERSON}, headers=operator)
        assert asked.status_code == 201, asked.text
        erasure_id = asked.json()["erasure_id"]
        async with asyncio.timeout(20):
            while asked.json()["waiting_for"] != ["away"]:
                await asyncio.sleep(0.1)
                asked = await registry.http.get(f"/erasures/{erasure_id}")
    assert (asked.json()["status"], asked.json()["rows"]) == ("waiting", dry.json()["rows"])
    assert texts_in(registry_dsn, CANARY) == {}
    assert texts_in(database_url, CANARY), "the agent that is down has it still"

    async with running_agent(directory, database_url, "away", **given):
        erasure = await completed(registry, erasure_id)
    assert {agent["agent_id"]: agent["rows"]["agent_threads"] for agent in erasure["agents"]} == {
        "away": 1,
        "here": 1,
    }
    assert texts_in(database_url, CANARY) == texts_in(registry_dsn, CANARY) == {}
    assert texts_in(registry_dsn, PERSON) == {}, "nor whom it was about"
    assert texts_in(database_url, "canary-of-ben")
    assert texts_in(registry_dsn, "canary-of-ben")


async def test_who_may_erase_and_what_is_refused(registry: Served) -> None:
    operator = {"Authorization": f"Bearer {await registry.make_token('operator')}"}
    developer = {"Authorization": f"Bearer {await registry.make_token('developer')}"}
    body: dict[str, Any] = {"thread_ids": ["t"]}
    assert (await registry.http.post("/erasures", json=body, headers=developer)).status_code == 403
    refused = await registry.http.post("/erasures", json={}, headers=operator)
    assert (refused.status_code, "caller, or thread_ids" in refused.text) == (400, True)
    assert (await registry.http.get("/erasures/none")).status_code == 404
    card: dict[str, Any] = {"id": "by-hand", "name": "by hand", "uri": "http://by-hand.test"}
    assert (await registry.http.post("/agents", json=card, headers=developer)).status_code == 201
    erasure = (await registry.http.post("/erasures", json=body, headers=operator)).json()
    path = f"/erasures/{erasure['erasure_id']}/receipts"
    async with asyncio.timeout(10):
        while (await registry.http.post(path, json={"agent_id": "by-hand"}, headers=developer)).status_code == 404:
            await asyncio.sleep(0.1)
    again = await registry.http.post(path, json={"agent_id": "by-hand", "rows": {"t": 1}}, headers=developer)
    assert (again.json()["status"], again.json()["agents"][0]["rows"]) == ("completed", {})
    listed = (await registry.http.get("/erasures")).json()["erasures"]
    assert [each["waiting_for"] for each in listed] == [[]]
