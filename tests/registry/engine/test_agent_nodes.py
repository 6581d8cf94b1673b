"""Agents that a workflow asks: real ones of ours, registered, and a stranger's of an older protocol."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.helpers import new_data_part
from a2a.types import Part

from groundwork.outgoing.a2a_answers import SentData
from groundwork.postgres.pool import Connection
from registry.access import COMMAND_LINE
from registry.agents import store
from registry.outbound.a2a import _value
from scaffold import write as scaffold
from scaffold.plan import Answers, Template, build_plan
from tests.agent_runtime.tools.test_peers import running_peer
from tests.agents import SCRIPTED, Agent, running_agent, write_project
from tests.processes import registry_process
from tests.registry.engine.executions import events_of, start, story, until
from tests.registry.engine.workflows import STEP, document
from tests.registry.executions import runs
from tests.registry.registries import Served, running_registry


@pytest.fixture
async def served(registry_dsn):
    async with running_registry(registry_dsn, worker=True) as served:
        yield served


@asynccontextmanager
async def agent_at_its_url(directory: Path, database_url: str, **settings: Any) -> AsyncIterator[Agent]:
    """An agent whose card says where it really is."""
    async with running_agent(write_project(directory, SCRIPTED), database_url, **settings) as agent:
        await agent.runtime.card_url.change(agent.url)
        yield agent


@pytest.fixture
async def agent(tmp_path: Path, database_url: str):
    async with agent_at_its_url(tmp_path / "agent", database_url) as agent:
        yield agent


async def register(http: httpx.AsyncClient, url: str, agent_id: str = "helper", **card: Any) -> None:
    body = {"id": agent_id, "uri": url, "name": agent_id, "capabilities": {"protocols": ["a2a"]}, **card}
    assert (await http.post("/agents", json=body)).status_code == 201
    assert (await http.post(f"/agents/{agent_id}/activate")).status_code == 200


def asking(ref: str = "helper", text: str = "state.text", **kind: Any) -> dict[str, Any]:
    return document({"ask": {"type": "agent", "agent_ref": ref, "input_mapping": {"text": text}, **kind}}, [])


def asking_tool(agent: Any, **kind: Any) -> dict[str, Any]:
    mapping = {"text": "state.text"}
    return document(
        {"ask": {"type": "agent_tool", "agent": agent, "input_mapping": mapping, "output_key": "said", **kind}}, []
    )


async def test_a_workflow_asks_a_registered_agent(served: Served, agent: Agent):
    await register(served.http, agent.url)
    execution = await start(served.registry, asking(output_schema="said"), text="echo hello there")
    row = await until(served.registry, execution)
    assert (row.status, row.state["said"]) == ("completed", "hello there")
    told = await story(served.registry, execution)
    assert told[2:5] == ["node_started ask", "tool_call_completed ask", "node_completed ask"]


@pytest.mark.parametrize("looks_before", [0, 1], ids=["by the guard", "by the node"])
async def test_a_connection_that_ends_while_an_agent_is_looked_up_costs_no_execution(
    served: Served, agent: Agent, monkeypatch: pytest.MonkeyPatch, looks_before: int
):
    looks = 0

    async def end_one(conn: Connection, tenant_id: str, uri: str) -> str | None:
        nonlocal looks
        looks += 1
        if looks == looks_before + 1:
            await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return await find_agent_at(conn, tenant_id, uri)

    find_agent_at = store.find_agent_at
    monkeypatch.setattr(store, "find_agent_at", end_one)
    await register(served.http, agent.url)
    execution = await start(served.registry, asking(output_schema="said"), text="echo hello there")
    row = await until(served.registry, execution)
    assert (row.status, row.state["said"]) == ("completed", "hello there")
    assert looks > looks_before + 1


async def test_what_an_execution_says_to_an_agent_is_one_conversation(served: Served, agent: Agent):
    await register(served.http, agent.url)
    ask = {"type": "agent", "agent_ref": "helper", "input_mapping": {"text": "echo hello"}}
    once = await until(served.registry, await start(served.registry, document({"a": ask, "b": ask}, [("a", "b")])))
    assert once.state == {"last_agent_output": "hello"}
    threads = (await agent.http.get("/api/v1/memory/threads")).json()["data"]["threads"]
    assert len(threads) == 1
    await until(served.registry, await start(served.registry, document({"a": ask, "b": ask}, [("a", "b")])))
    threads = (await agent.http.get("/api/v1/memory/threads")).json()["data"]["threads"]
    assert len(threads) == 2


async def test_an_answer_that_is_json_can_be_looked_into(served: Served, agent: Agent):
    await register(served.http, agent.url)
    row = await until(served.registry, await start(served.registry, asking(), text='echo {"passed": true}'))
    assert row.state["last_agent_output"] == {"passed": True}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("pause", "the agent helper is paused, so it is not called"),
        ("deactivate", "the agent helper is deactivated"),
    ],
)
async def test_an_agent_that_is_not_active_is_not_called(served: Served, agent: Agent, change: str, reason: str):
    await register(served.http, agent.url)
    assert (await served.http.post(f"/agents/helper/{change}")).status_code == 200
    row = await until(served.registry, await start(served.registry, asking(), text="echo hello"))
    assert reason in (row.error or "")
    assert agent.journal() == []


async def test_an_agent_that_is_not_alive_is_waited_for(served: Served, agent: Agent):
    await register(served.http, agent.url)
    failing = {"health": "failing", "reason": "no model"}
    await served.http.post("/agents/helper/heartbeat", json=failing)
    ir = asking()
    ir["nodes"]["ask"]["retry_policy"] = "patient"
    ir["retry_policies"] = {"patient": {"max_attempts": 50, "initial_delay": 0.1, "backoff": "fixed"}}
    execution = await start(served.registry, ir, text="echo hello")
    while "retry_scheduled ask" not in await story(served.registry, execution):
        await asyncio.sleep(0.02)
    await served.http.post("/agents/helper/heartbeat", json={"health": "ok"})
    assert (await until(served.registry, execution)).status == "completed"


async def test_another_tenants_agents_are_not_there(served: Served, agent: Agent):
    stranger = await served.client_of("operator", "acme")
    await stranger.post("/agents", json={"id": "helper", "uri": agent.url, "name": "helper"})
    row = await until(served.registry, await start(served.registry, asking(), text="echo hello"))
    assert row.error == "node ask: there is no agent helper"


async def test_an_agent_that_fails_is_asked_again(served: Served, agent: Agent):
    await register(served.http, agent.url)
    ir = asking()
    ir["nodes"]["ask"]["retry_policy"] = "fast"
    execution = await start(served.registry, ir, text="fail because")
    row = await until(served.registry, execution)
    assert "the agent helper did not do it: failed" in (row.error or "")
    assert "secret reason" not in (row.error or "")
    assert agent.journal() == ["begin fail because"] * 2


async def test_a_task_that_is_still_worked_on_is_not_begun_again(served: Served, agent: Agent):
    """As after the loss of a worker, or of its patience: the message has been heard, and is not sent again."""
    await register(served.http, agent.url)
    ir = asking()
    ir["nodes"]["ask"] |= {"retry_policy": "fast", "node_timeout_secs": 0.8}
    execution = await start(served.registry, ir, text="hold it")
    while "retry_scheduled ask" not in await story(served.registry, execution):
        await asyncio.sleep(0.02)
    agent.release("it")
    row = await until(served.registry, execution)
    assert row.state["last_agent_output"] == "it"
    assert agent.journal() == ["begin hold it", "end hold it"]


def through_a2a(url: str, text: str, **kind: Any) -> dict[str, Any]:
    node = {"type": "a2a_task", "remote_agent": "peer", "input_mapping": {"text": text}, **kind}
    return document({"ask": node, "more": STEP}, [], remote_agents={"peer": {"url": url}})


async def test_an_agent_that_wants_to_know_more_leads_elsewhere_and_gets_its_answer(served: Served, agent: Agent):
    wait = {"type": "wait", "condition": "external_event"}
    ir = through_a2a(agent.url, "{{ state.text }}", on_input_required="person")
    ir["nodes"]["person"] = {"id": "person", "kind": wait}
    ir["edges"] = [{"from": "person", "to": "ask"}]
    execution = await start(served.registry, ir, text="ask tea or coffee?")
    paused = await until(served.registry, execution, "paused", "failed")
    assert paused.state["last_a2a_output"] == "tea or coffee?"
    await served.registry.executions.tell(COMMAND_LINE, execution, "any", {"text": "tea"})
    row = await until(served.registry, execution)
    assert (row.status, row.state["last_a2a_output"]) == ("completed", "heard tea")


async def test_without_a_place_to_go_a_question_fails_the_node(served: Served, agent: Agent):
    row = await until(served.registry, await start(served.registry, through_a2a(agent.url, "ask tea or coffee?")))
    assert row.error == "node ask: peer wants to know more: tea or coffee?"


@pytest.mark.parametrize(("binding", "version"), [("JSONRPC", "1.0"), ("JSONRPC", "0.3"), ("HTTP+JSON", "1.0")])
async def test_agents_of_others_are_understood(served: Served, binding: str, version: str):
    async with running_peer(binding=binding, version=version) as (peer, url):
        row = await until(
            served.registry, await start(served.registry, through_a2a(url, "hello", output_schema="x"))
        )
        assert peer.echo.heard == ["hello"]
    answered = {"text": "you said hello", "data": {"length": 5}}
    assert (row.status, row.state) == ("completed", {"x": answered, "last_a2a_output": answered})


async def test_an_agent_that_is_not_there_is_said_so(served: Served):
    ir = through_a2a("http://127.0.0.1:1", "hello")
    ir["nodes"]["ask"]["retry_policy"] = "no_retry"
    row = await until(served.registry, await start(served.registry, ir))
    assert "cannot connect to 127.0.0.1" in (row.error or "")


async def test_an_agent_in_a_private_network_is_not_called_where_that_is_denied(registry_dsn):
    async with (
        running_registry(registry_dsn, worker=True, deny_private_networks=True) as served,
        running_peer() as (peer, url),
    ):
        row = await until(served.registry, await start(served.registry, through_a2a(url, "hello")))
    assert "private or reserved network" in (row.error or "")
    assert peer.echo.heard == []


async def test_a_secret_of_the_workflow_goes_to_its_agent(registry_dsn, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PEER_TOKEN", "very-secret")
    async with (
        running_peer(token="very-secret") as (peer, url),
        running_registry(registry_dsn, worker=True, jamjet_secret_env=(f"PEER_TOKEN@{url}",)) as served,
    ):
        ir = through_a2a(url, "hello")
        refused = await until(served.registry, await start(served.registry, ir))
        ir["remote_agents"]["peer"]["auth"] = {"type": "bearer", "token_env": "PEER_TOKEN"}
        assert (await until(served.registry, await start(served.registry, ir))).status == "completed"
    assert refused.error == "node ask: peer answered 401: it wants other credentials than it was given"
    assert peer.echo.heard == ["hello"]


async def test_a_token_goes_to_the_agents_that_the_operator_has_it_for(
    registry_dsn, tmp_path: Path, database_url: str
):
    async with agent_at_its_url(tmp_path / "a", database_url, a2a_tokens="ops=very-secret") as agent:
        for tokens, status in (
            ("http://elsewhere:1=very-secret", "failed"),
            (f"{agent.url}=very-secret", "completed"),
        ):
            async with running_registry(registry_dsn, worker=True, jamjet_agent_tokens=tokens) as served:
                await register(served.http, agent.url)
                row = await until(served.registry, await start(served.registry, asking(), text="echo hello"))
                assert row.status == status, row.error


async def test_tokens_for_agents_are_exchanged_without_a_restart(registry_dsn, tmp_path: Path, database_url: str):
    async with agent_at_its_url(tmp_path / "a", database_url, a2a_tokens="ops=very-secret") as agent:
        tokens = tmp_path / "tokens"
        tokens.write_text(f"{agent.url}=of-yesterday")
        settings = {"database_url": registry_dsn, "jamjet_dev_mode": 1, "jamjet_agent_tokens_file": tokens}
        async with (
            registry_process(tmp_path, **settings) as registry,
            httpx.AsyncClient(base_url=registry.url, timeout=30) as http,
        ):
            await register(http, agent.url)
            await runs.until(http, await runs.start(http, asking(), text="echo hello"), "failed")
            tokens.write_text(f"{agent.url}=very-secret")
            registry.process.send_signal(signal.SIGHUP)
            while "tokens reread" not in registry.log.read_text():
                await asyncio.sleep(0.02)
            await runs.until(http, await runs.start(http, asking(), text="echo hello"), "completed")


async def test_an_agent_tool_may_name_its_agent_by_the_state(served: Served, agent: Agent):
    await register(served.http, agent.url)
    ir = asking_tool({"explicit": "state.chosen"})
    execution = await start(served.registry, ir, text="echo hello", chosen=agent.url)
    row = await until(served.registry, execution)
    assert row.state["said"] == "hello"
    told = await story(served.registry, execution)
    assert [line for line in told if "agent_tool" in line] == [
        "agent_tool_invoked ask",
        "agent_tool_completed ask",
    ]


async def test_an_agent_tool_may_take_whoever_is_alive(served: Served, agent: Agent):
    await register(served.http, "http://127.0.0.1:1", "a-paused-one")
    await served.http.post("/agents/a-paused-one/pause")
    await register(served.http, agent.url)
    row = await until(served.registry, await start(served.registry, asking_tool("auto"), text="echo hello"))
    assert row.state["said"] == "hello"


async def test_a_conversation_waits_for_answers_from_outside(served: Served, agent: Agent):
    await register(served.http, agent.url)
    ir = asking_tool({"explicit": "helper"}, mode={"conversational": {"max_turns": 3}})
    execution = await start(served.registry, ir, text="ask tea or coffee?")
    await until(served.registry, execution, "paused")
    raised = [event for event in await events_of(served.registry, execution) if event.type == "interrupt_raised"]
    assert raised[0].data["description"] == "tea or coffee?"
    await served.registry.executions.tell(COMMAND_LINE, execution, "ask", {"text": "tea"})
    row = await until(served.registry, execution)
    assert (row.status, row.state["said"]) == ("completed", "heard tea")


async def test_a_conversation_ends_after_so_many_turns(served: Served, agent: Agent):
    await register(served.http, agent.url)
    ir = asking_tool({"explicit": "helper"}, mode={"conversational": {"max_turns": 1}})
    row = await until(served.registry, await start(served.registry, ir, text="ask tea?"))
    assert row.error == "node ask: the agent helper still wants to know more after 1 turns"


async def test_a_policy_knows_an_agent_by_its_id_and_its_uri(served: Served, agent: Agent):
    await register(served.http, agent.url)
    for pattern, named in (("helper", agent.url), (f"{agent.url}*", "helper")):
        ir = asking_tool({"explicit": "state.chosen"}) | {"policy": {"blocked_tools": [pattern]}}
        row = await until(served.registry, await start(served.registry, ir, text="echo hello", chosen=named))
        assert "policy violation" in (row.error or "")
    assert agent.journal() == []


async def test_all_that_an_agent_answers_is_in_the_nodes_output(served: Served):
    async with running_peer() as (_, base):
        await register(served.http, base)
        execution = await start(served.registry, asking(output_schema="said"), text="hello")
        row = await until(served.registry, execution)
        assert row.state["said"] == {"text": "you said hello", "data": {"length": 5}}
        assert type(row.state["said"]["data"]["length"]) is int
        then = asking(output_schema="said")
        then["nodes"]["far"] = {"id": "far", "kind": {"type": "end"}}
        then["edges"] = [{"from": "ask", "to": "far", "condition": "output.data.length > 4"}]
        execution = await start(served.registry, then, text="hello")
        await until(served.registry, execution)
        assert "node_completed far" in await story(served.registry, execution)


def test_parts_of_several_kinds_are_an_object_and_those_of_one_are_what_they_are():
    text, data = Part(text="see"), new_data_part({"n": 1})
    file = Part(raw=b"x", filename="a.bin", media_type="application/octet-stream")
    shown = {"raw": "eA==", "filename": "a.bin", "mediaType": "application/octet-stream"}
    sent = SentData()
    assert _value([text, file], sent) == {"text": "see", "files": [shown]}
    assert _value([text, data, data, file], sent) == {
        "text": "see",
        "data": [{"n": 1}, {"n": 1}],
        "files": [shown],
    }
    assert [_value([one], sent) for one in (text, data, file)] == ["see", {"n": 1}, shown]
    assert _value([], sent) is None


async def test_a_workflow_gets_the_ticket_and_the_sentence_of_the_structured_template(
    served: Served, tmp_path: Path, database_url: str
):
    plan = build_plan(Answers("tickets", Template.STRUCTURED))
    scaffold.write_project(plan, tmp_path / "tickets")
    async with running_agent(tmp_path / "tickets", database_url) as agent:
        await agent.runtime.card_url.change(agent.url)
        await register(served.http, agent.url)
        execution = await start(
            served.registry, asking(output_schema="said"), text="title: No coffee, priority: low"
        )
        said = (await until(served.registry, execution)).state["said"]
    assert said["data"] == {"title": "No coffee", "priority": "low", "people_affected": 1}
    assert said["text"] == "Noted with low priority: No coffee"
