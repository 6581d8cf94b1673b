"""What went on with an agent."""

from registry.access import COMMAND_LINE
from registry.executions import store
from registry.executions.events import Event
from tests.registry.agents.agents import run_agent
from tests.registry.engine.executions import start
from tests.registry.engine.workflows import STEP, document


async def test_a_trace_shows_what_was_decided_about_the_agent_the_latest_first(registry):
    await run_agent(registry.http)
    trace = (await registry.http.get("/agents/research-agent/trace")).json()
    assert trace["agent_id"] == "research-agent"
    assert [event["event_type"] for event in trace["events"]] == ["agent_activated", "agent_registered"]
    assert trace["events"][0].keys() == {"timestamp", "direction", "event_type", "summary"}
    assert trace["events"][0]["direction"] == "outbound"


async def test_a_trace_shows_what_executions_asked_of_the_agent(registry, registry_pool):
    await run_agent(registry.http)
    execution = await start(registry.registry, document({"a": STEP}, []))
    row = await registry.registry.executions.get(COMMAND_LINE, execution)
    asked = Event("agent_tool_invoked", "a", {"agent_id": "research-agent"})
    async with registry_pool.connection() as conn, conn.transaction():
        await store.append_events(conn, row.execution_id, [asked])
    [latest] = (await registry.http.get("/agents/research-agent/trace?limit=1")).json()["events"]
    assert (latest["direction"], latest["summary"]) == ("inbound", f"{execution} a")


async def test_there_is_no_trace_of_another_tenants_agent(registry):
    await run_agent(registry.http)
    stranger = await registry.client_of("operator", "acme")
    assert (await stranger.get("/agents/research-agent/trace")).status_code == 404
