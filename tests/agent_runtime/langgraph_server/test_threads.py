"""Threads and their states through the unmodified clients of LangGraph, and the same threads over A2A."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import (
    APIStatusError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
)

from agent_runtime.langgraph_server import threads
from tests.agent_runtime.langgraph_server.conftest import GRAPH
from tests.agent_runtime.langgraph_server.test_runs import begun, said
from tests.agents import Agent, answer_text, running_agent, write_project

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_threads_are_made_found_changed_and_deleted(client: LangGraphClient) -> None:
    mark = uuid4().hex
    thread = await client.threads.create(metadata={"mark": mark, "n": 1})
    thread_id = thread["thread_id"]
    with pytest.raises(ConflictError, match="already exists"):
        await client.threads.create(thread_id=thread_id)
    again = await client.threads.create(thread_id=thread_id, if_exists="do_nothing", metadata={"other": 1})
    assert again["metadata"] == {"mark": mark, "n": 1}
    await client.threads.update(thread_id, metadata={"n": 2})
    found: Any
    (found,) = await client.threads.search(metadata={"mark": mark}, status="idle", sort_by="created_at")
    assert (found["thread_id"], found["metadata"]["n"]) == (thread_id, 2)
    assert await client.threads.count(metadata={"mark": mark}) == 1
    (found,) = await client.threads.search(ids=[thread_id], select=["status"], extract={"n": "metadata.n"})
    assert found == {"status": "idle", "extracted": {"n": 2}}
    assert await client.threads.search(metadata={"mark": mark}, status="interrupted") == []
    await client.threads.delete(thread_id)
    with pytest.raises(NotFoundError, match=f"Thread with ID {thread_id} not found"):
        await client.threads.get(thread_id)


async def test_a_state_is_read_changed_and_forked(agent: Agent, client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "agent", input=said("hello one"))
    await client.threads.update_state(thread, {"steps": ["by hand"]}, as_node="answer")
    state: Any = await client.threads.get_state(thread)
    assert state["values"]["steps"] == ["first", "hello", "by hand"]
    by_hand = state["checkpoint"]["checkpoint_id"]
    history: Any = await client.threads.get_history(thread, limit=10)
    assert [one["metadata"]["source"] for one in history] == ["update", "loop", "loop", "loop", "input"]
    before_answer = next(one for one in history if list(one["next"]) == ["answer"])
    values: Any = await client.runs.wait(thread, "agent", input=None, checkpoint=before_answer["checkpoint"])
    assert values["steps"] == ["first", "hello"]
    earlier: Any = await client.threads.get_state(thread, checkpoint_id=by_hand)
    assert earlier["values"]["steps"][-1] == "by hand"
    copied: Any = await client.http.post(f"/threads/{thread}/copy", json=None)
    assert (await client.threads.get_state(copied["thread_id"]))["values"] == values

    await client.runs.create(thread, "agent", input=said("hold state"))
    await begun(agent, "state")
    with pytest.raises(ConflictError, match="already running"):
        await client.threads.update_state(thread, {"steps": ["too early"]})
    await client.threads.delete(thread)


async def test_pages_end_where_their_states_are_too_many_bytes(
    client: LangGraphClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [(await client.threads.create())["thread_id"] for _ in range(3)]
    for thread in made:
        for text in ("one", "two"):
            await client.runs.wait(thread, "agent", input=said(text))
    whole = await client.threads.get_history(made[0], limit=1000)
    monkeypatch.setattr(threads, "PAGE_BYTES", 100)
    page = await client.threads.get_history(made[0], limit=1000)
    while found := await client.threads.get_history(made[0], limit=1000, before=page[-1]["checkpoint"]):
        page += found
    assert page == whole
    shown = [await client.threads.search(ids=made, limit=3, offset=offset) for offset in range(4)]
    assert sorted(one["thread_id"] for [one] in shown[:3]) == sorted(made)
    assert shown[3] == []


async def test_a_question_is_left_by_ending_its_node(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "agent", input=said("ask nothing"))
    await client.threads.update_state(thread, None, as_node="__end__")
    found: Any = await client.threads.get(thread)
    assert (found["status"], found["interrupts"]) == ("idle", {})
    await client.runs.wait(thread, "agent", input=said("ask again"))
    await client.runs.wait(thread, "agent", input={}, command={"goto": "__end__"})
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_a_conversation_goes_on_in_the_other_protocol(agent: Agent, client: LangGraphClient) -> None:
    asked = (await agent.send("ask who?"))["task"]
    thread = asked["contextId"]
    (found,) = await client.threads.search(metadata={"graph_id": "agent"}, limit=1)
    assert (found["thread_id"], found["status"]) == (thread, "interrupted")
    values: Any = await client.runs.wait(thread, "agent", command={"resume": "me"})
    assert values["messages"][-1]["content"] == "heard me"
    over = (await agent.rpc("GetTask", {"id": asked["id"]}))["result"]
    assert over["status"]["state"] == "TASK_STATE_COMPLETED"
    assert await agent.ask("hello back", thread) == "back"
    newest, run, first = await client.runs.list(thread)
    assert (first["run_id"], newest["status"]) == (asked["id"], "success")
    task = (await agent.rpc("GetTask", {"id": run["run_id"]}))["result"]
    assert answer_text(task) == "heard me"
    assert [message["role"] for message in await agent.messages(thread)] == ["human", "ai"] * 2
    assert (await agent.http.delete(f"/api/v1/memory/threads/{thread}")).status_code == 200
    with pytest.raises(NotFoundError):
        await client.threads.get(thread)


async def test_a_remote_graph_is_a_node_of_another(agent: Agent) -> None:
    remote = RemoteGraph("agent", url=agent.url, api_key="unused")
    outer = StateGraph(MessagesState).add_node("remote", remote).add_edge(START, "remote").compile()
    answer = await outer.ainvoke({"messages": [HumanMessage("hello from afar")]})
    assert answer["messages"][-1].content == "from afar"
    config: Any = {"configurable": {"thread_id": str(uuid4())}}
    await remote.ainvoke({"messages": [{"role": "user", "content": "hello state"}]}, config)
    state = await remote.aget_state(config)
    assert state.values["steps"] == ["first", "hello"]
    await remote.aupdate_state(config, {"steps": ["remotely"]}, as_node="answer")
    assert [one.values["steps"][-1:] async for one in remote.aget_state_history(config, limit=1)] == [["remotely"]]
    drawn = await remote.aget_graph()
    assert {"first", "answer", "inner"} <= set(drawn.nodes)


async def test_people_find_the_routes_on_a_page(agent: Agent) -> None:
    page = await agent.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/threads/{thread_id}/runs/stream" in page.text
    assert "src=" not in page.text
    for path in ("/langgraph/openapi.json", "/openapi.json"):
        assert path in page.text
        assert (await agent.http.get(path)).json()["paths"]


async def test_assistants_are_the_graphs_and_do_not_change(agent: Agent, client: LangGraphClient) -> None:
    (assistant,) = await client.assistants.search()
    assert assistant["graph_id"] == "agent"
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert "messages" in schemas["state_schema"]["properties"]  # type: ignore[index]
    assert "inner" in await client.assistants.get_subgraphs(assistant["assistant_id"])
    assert await client.assistants.count() == 1
    with pytest.raises(APIStatusError, match="assistants are the graphs of this agent"):
        await client.assistants.create("agent")
    with pytest.raises(APIStatusError, match="schedules are the registry's"):
        await client.crons.search()


async def test_a_caller_sees_its_own_threads_by_either_header(database_url: str, tmp_path: Any) -> None:
    directory = write_project(tmp_path / "tokens", GRAPH)
    async with (
        running_agent(directory, database_url, a2a_tokens="ann=token-a,bob=token-b") as agent,
        get_client(url=agent.url, api_key="token-a") as ann,
        get_client(url=agent.url, api_key=None, headers={"Authorization": "Bearer token-b"}) as bob,
        get_client(url=agent.url, api_key="wrong") as stranger,
    ):
        thread = (await ann.threads.create())["thread_id"]
        values: Any = await ann.runs.wait(thread, "agent", input=said("who"), config={"configurable": FORGED})
        assert values["messages"][-1]["content"] == "ann"
        assert await bob.threads.search() == []
        for attempt in (
            lambda: bob.threads.get(thread),
            lambda: bob.runs.create(thread, "agent", input=said("x")),
            lambda: bob.threads.create(thread_id=thread),
        ):
            with pytest.raises(NotFoundError):
                await attempt()
        await ann.store.put_item(["memories", "ann"], key="tea", value={"likes": "green"})
        with pytest.raises(PermissionDeniedError, match=r"memories\.bob"):
            await bob.store.search_items(["memories"])
        with pytest.raises(AuthenticationError, match="x-api-key"):
            await stranger.threads.search()
        assert (await agent.http.get("/info")).status_code == 200


FORGED = {"langgraph_auth_user_id": "bob", "thread_id": "x", "user_id": "bob"}


async def test_pages_are_let_in_from_the_origins_of_the_settings(agent: Agent) -> None:
    async def ask(origin: str) -> httpx.Response:
        return await agent.http.post("/threads/search", json={}, headers={"Origin": origin})

    welcome = await ask("https://front.example")
    assert welcome.headers["access-control-allow-origin"] == "https://front.example"
    assert "Content-Location" in welcome.headers["access-control-expose-headers"]
    assert (await ask("https://elsewhere.example")).status_code == 403


async def test_what_graphs_keep_is_read_and_written(client: LangGraphClient) -> None:
    await client.store.put_item(["memories", "ann"], key="tea", value={"likes": "green"})
    item: Any = await client.store.get_item(["memories", "ann"], key="tea")
    assert item["value"] == {"likes": "green"}
    found = await client.store.search_items(["memories"], filter={"likes": "green"})
    assert [(one["namespace"], one["key"]) for one in found["items"]] == [(["memories", "ann"], "tea")]
    assert (await client.store.list_namespaces(prefix=["memories"]))["namespaces"] == [["memories", "ann"]]
    await client.store.delete_item(["memories", "ann"], key="tea")
    missing: Any = await client.store.get_item(["memories", "ann"], key="tea")
    assert missing is None
