"""JamJet's own command, library and worker run workflows on the registry, as they are published."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.jamjet import Refused, call_client, jamjet, jamjet_version, jamjet_worker, run_with_jamjet
from tests.registry.engine.model_server import running_model_server, seam_answer
from tests.registry.engine.workflows import STEP, branches, document
from tests.registry.executions.runs import PAYMENT, REVIEW, TWO_REVIEWS, start, until
from tests.registry.registries import Served, running_registry
from tests.registry.workflows.samples import SAMPLES, load_sample

NEWEST = jamjet_version() >= (0, 12)
newest_only = pytest.mark.skipif(not NEWEST, reason="needs JamJet 0.12: make test-jamjet")

CHOICE = document(
    {"if": branches(big="state.n > 1", small=None), "big": STEP, "small": STEP}, [], workflow_id="choice"
)

YAML = """
workflow:
  id: ship-it
  version: 0.2.0
  start: review
nodes:
  review:
    type: human_approval
    description: "Ship it?"
    next: shipped
  shipped:
    type: condition
    next: end
"""

STEPS = """
from jamjet import Workflow
from pydantic import BaseModel

workflow = Workflow("invoice", version="1.0.0")

@workflow.state
class Invoice(BaseModel):
    net: float
    gross: float | None = None
    memo: str | None = None

@workflow.step
async def add_tax(state: Invoice) -> Invoice:
    return state.model_copy(update={"gross": state.net * 1.5})

@workflow.step
async def note(state: Invoice) -> Invoice:
    return state.model_copy(update={"memo": f"{state.gross:.0f} in all"})
"""

FUNCTIONS = """
async def add_tax(state):
    return {"gross": state["net"] * 1.5}

async def note(state):
    return {"memo": f"{state['gross']:.0f} in all"}
"""

FLEET = """
version: 1
workflows:
  probe:
    version: 0.4.0
    start: notify
    nodes:
      notify: { type: human_approval, description: "Acknowledge the alert", next: end }
    schedule: { cron: "*/5 * * * *" }
"""

AGENT = """
from jamjet import Agent, tool

@tool
async def lookup_order(order_id: str) -> str:
    \"\"\"Look an order up.\"\"\"
    return f"order {order_id}: shipped"

agent = Agent("order-desk", model="anthropic/claude-haiku-4-5", tools=[lookup_order], instructions="Help.")
"""

RUN_AGENT = """
import asyncio, json
from functions import agent
print(json.dumps(asyncio.run(agent.run_durable("Where is order 7?", max_turns=2, runtime_url="{runtime}")).output))
"""

INVOICE = document(
    {
        "add_tax": {"type": "python_fn", "module": "functions", "function": "add_tax"},
        "note": {"type": "python_fn", "module": "functions", "function": "note"},
    },
    [("add_tax", "note")],
    workflow_id="invoice",
)


@pytest.fixture
async def registry(registry_dsn: str) -> AsyncIterator[Served]:
    async with running_registry(registry_dsn, worker=True) as served:
        served.url += "/jamjet"
        yield served


@pytest.fixture
async def developer(registry: Served) -> str:
    """A token."""
    return await registry.make_token("developer")


async def test_the_library_starts_lists_and_reads_an_execution(registry, developer):
    created, started = await call_client(
        registry.url,
        ("create_workflow", CHOICE),
        ("start_execution", "choice", {"n": 2}, "1.0.0"),
        token=developer,
    )
    assert (created["workflow_id"], created["version"]) == ("choice", "1.0.0")
    execution_id = started["execution_id"]
    await until(registry.http, execution_id)
    found, listed, told = await call_client(
        registry.url,
        ("get_execution", execution_id),
        ("list_executions", "completed", 5),
        ("get_events", execution_id),
        token=developer,
    )
    assert (found["status"], found["current_state"], found["steps_executed"]) == ("completed", {"n": 2}, 2)
    assert [execution["execution_id"] for execution in listed["executions"]] == [execution_id]
    assert [event["kind"]["type"] for event in told["events"]][-1] == "workflow_completed"


async def test_the_library_decides_tells_and_cancels(registry, developer):
    review, payment = await start(registry.http, REVIEW), await start(registry.http, PAYMENT)
    two = await start(registry.http, TWO_REVIEWS | {"workflow_id": "two"})
    for execution_id in (review, payment, two):
        await until(registry.http, execution_id, "paused")
    approved, told, ambiguous, cancelled, again = await call_client(
        registry.url,
        ("approve", review, "approved"),
        ("send_external_event", payment, "payment-received", {"paid": 3}),
        ("approve", two, "approved"),
        ("cancel_execution", two),
        ("cancel_execution", two),
        token=developer,
    )
    assert approved == {"execution_id": review, "node_id": "review", "accepted": True}
    assert told == {"execution_id": payment, "accepted": True}
    assert cancelled == {"execution_id": two, "status": "cancelled"}
    assert (ambiguous.status, again.status) == (400, 409)
    assert (await until(registry.http, review))["state"] == {"decision": "approved"}
    assert (await until(registry.http, payment))["state"] == {"paid": 3}


async def test_the_library_registers_what_the_published_compilers_emit(registry, developer):
    documents = {name: load_sample(name) for name in SAMPLES}
    calls = [("create_workflow", given) for given in documents.values()]
    answers = dict(zip(documents, await call_client(registry.url, *calls, token=developer), strict=True))
    refused = answers.pop("16-misc-kinds.0.12")
    assert isinstance(refused, Refused)
    assert "memory_retrieval cannot be run" in refused.answer["error"]
    assert {name: (answer["workflow_id"], answer["version"]) for name, answer in answers.items()} == {
        name: (documents[name]["workflow_id"], documents[name]["version"]) for name in answers
    }


async def test_the_command_runs_a_workflow_and_shows_it(registry, developer):
    await registry.http.post("/workflows", json={"ir": CHOICE})

    async def command(*arguments: str) -> str:
        done = await jamjet(*arguments, runtime=registry.url, token=developer)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    ran = await command("run", "choice", "--input", '{"n": 2}')
    assert "Execution completed." in ran
    execution_id = ran.split("started: ")[1].split()[0]
    inspected, events, one_node, replayed = await asyncio.gather(
        command("inspect", execution_id, "--no-tokens"),
        command("events", execution_id),
        command("events", execution_id, "--node", "big"),
        command("replay", execution_id),
    )
    assert '"status": "completed"' in inspected
    assert "workflow_completed" in events
    assert "node_completed" in one_node
    assert "workflow_completed" not in one_node
    assert "exec_" in replayed
    assert len((await registry.http.get("/executions")).json()["executions"]) == 2


async def test_the_command_prints_a_run_as_json_or_as_it_goes(registry, developer):
    await registry.http.post("/workflows", json={"ir": CHOICE})
    as_json, streamed = await asyncio.gather(
        jamjet("run", "choice", "-o", "json", "--input", '{"n": 1}', runtime=registry.url, token=developer),
        jamjet("run", "choice", "--stream", runtime=registry.url, token=developer),
    )
    printed = json.loads(as_json.stdout)
    assert (printed["final_state"]["status"], printed["steps_executed"]) == ("completed", 2)
    assert streamed.returncode == 0, streamed.stderr
    assert "✓ node_completed  small" in streamed.stdout
    assert "✓ Stream complete" in streamed.stdout


async def test_the_worker_runs_functions_for_a_workflow(registry, developer):
    await call_client(registry.url, ("create_workflow", INVOICE), token=developer)
    source, arguments = (FUNCTIONS, ["--modules", "functions"]) if NEWEST else (STEPS, ["functions"])
    queue = ["--queue", "python_tool"]
    async with jamjet_worker(source, *arguments, *queue, runtime=registry.url, token=developer):
        done = await jamjet(
            "run", "invoice", "-o", "json", "--input", '{"net": 10}', runtime=registry.url, token=developer
        )
    printed = json.loads(done.stdout)
    assert printed["final_state"]["current_state"] == {"net": 10, "gross": 15.0, "memo": "15 in all"}
    assert printed["steps_executed"] == 2


@newest_only
async def test_the_command_runs_a_file_and_decides_what_it_waits_for(registry, developer, tmp_path: Path):
    path = tmp_path / "ship-it.yaml"
    path.write_text(YAML, "utf-8")
    running = asyncio.create_task(jamjet("run", str(path), runtime=registry.url, token=developer))
    execution_id = await paused(registry)
    listed = await jamjet("approvals", execution_id, runtime=registry.url, token=developer)
    assert "review" in listed.stdout, listed.stderr
    approve = ("approve", execution_id, "--decision", "approved", "--comment", "go")
    approved = await jamjet(*approve, runtime=registry.url, token=developer)
    assert approved.stdout.startswith("approved  node=review")
    again = await jamjet(*approve, runtime=registry.url, token=developer)
    assert (again.returncode, "Error: conflict: " in again.stdout) == (1, True)
    assert "Execution completed." in (await running).stdout
    listed = await jamjet("approvals", execution_id, runtime=registry.url, token=developer)
    assert "go" in listed.stdout


@newest_only
async def test_the_command_deploys_a_fleet_with_its_clock(registry, developer, tmp_path: Path):
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET, "utf-8")
    done = await jamjet("deploy", str(path), runtime=registry.url, token=developer)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "registered probe v0.4.0" in done.stdout
    [job] = (await registry.http.get("/cron")).json()["cron_jobs"]
    assert (job["workflow_id"], job["cron_expression"]) == ("probe", "*/5 * * * *")


@newest_only
async def test_an_agent_of_the_library_runs_durably(registry_dsn):
    call = {"id": "c1", "name": "lookup_order", "arguments": {"order_id": "7"}}
    async with (
        running_model_server() as model,
        running_registry(registry_dsn, worker=True, jamjet_model_seam_url=model.url) as served,
    ):
        model.answers.clear()
        model.answers.append(seam_answer("", tool_calls=[call], finish_reason="tool_calls"))
        model.answers.append(seam_answer("It is shipped."))
        runtime = f"{served.url}/jamjet"
        async with jamjet_worker(AGENT, "--modules", "functions", runtime=runtime, token=served.token):
            said = await run_with_jamjet(RUN_AGENT.format(runtime=runtime), AGENT, served.token)
        assert json.loads(said) == "It is shipped."
        [execution] = (await served.http.get("/executions")).json()["executions"]
        state = (await served.http.get(f"/executions/{execution['execution_id']}")).json()["state"]
        assert "order 7: shipped" in json.dumps(state["messages"])


async def paused(registry: Served) -> str:
    """The id of the first execution that is."""
    async with asyncio.timeout(20):
        while True:
            answer = await registry.http.get("/executions?status=paused")
            for execution in answer.json()["executions"]:
                execution_id: str = execution["execution_id"]
                return execution_id
            await asyncio.sleep(0.05)
