"""`registry run`, `inspect`, `events`, `approve` and `cancel`, on a registry that runs what they start."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, environment
from tests.registry.cli.commands import registry_command
from tests.registry.engine.workflows import document
from tests.registry.executions.runs import REVIEW, TWO_STEPS, approve, paused, start, until
from tests.registry.registries import Served, running_registry

LOOP = document({"a": {"type": "limit_exceeded", "description": "too much"}}, [])


@pytest.fixture
def settings(registry: Served) -> dict[str, str]:
    """How the command reaches the registry."""
    return {"jamjet_public_url": registry.url, "jamjet_token": registry.token}


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file with a workflow of two steps."""
    path = tmp_path / "steps.json"
    path.write_text(json.dumps(TWO_STEPS))
    return str(path)


async def test_a_registered_workflow_is_started(registry, settings):
    await registry.http.post("/workflows", json={"ir": TWO_STEPS})
    done = await registry_command("run", "test", "--input", '{"query": "what?"}', "--json", **settings)
    execution = await until(registry.http, json.loads(done.stdout)["execution_id"])
    assert (done.exit_code, execution["status"], execution["state"]) == (0, "completed", {"query": "what?"})


async def test_a_file_is_registered_and_its_run_followed_to_the_end(settings, file):
    done = await registry_command("run", file, "--follow", **settings)
    lines = done.stdout.splitlines()
    assert (done.exit_code, done.stderr) == (0, "")
    assert lines[0].split() == ["0.000", "s", "▶", "test", "1.0.0", "started"]
    assert [line.split()[2:5] for line in lines if "✓" in line] == [["✓", name, "completed"] for name in "ab"]
    assert lines[7].split()[2:] == ["■", "completed"]
    assert "\x1b" not in done.stdout
    assert "status            completed" in done.stdout


@pytest.mark.parametrize(
    ("workflow", "status"),
    [(LOOP, "limit_exceeded"), (document({"a": {"type": "wait", "timeout_secs": 0.1}}, []), "failed")],
)
async def test_a_run_that_does_not_complete_is_told_by_the_exit_status(settings, tmp_path, workflow, status):
    (tmp_path / "w.json").write_text(json.dumps({"ir": workflow}))
    done = await registry_command("run", "w.json", "--follow", "--json", **settings)
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (1, status)


@pytest.mark.parametrize("given", ["[1]", "{", '{"a": NaN}', "text"])
async def test_an_input_that_is_no_object_starts_nothing(settings, given):
    done = await registry_command("run", "test", "--input", given, **settings)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("registry: --input: ")


async def test_what_cannot_be_run_is_said_in_one_line(settings, file):
    unknown = await registry_command("run", "nobody", **settings)
    assert (unknown.exit_code, unknown.stderr) == (1, "registry: not found: workflow nobody\n")
    missing = await registry_command("run", "missing.yaml", **settings)
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)
    other = await registry_command("run", file, "--version", "2", **settings)
    assert (other.exit_code, "is version 1.0.0" in other.stderr) == (2, True)


async def test_an_execution_is_inspected_with_what_has_happened_in_it(registry, settings):
    execution_id = await paused(registry.http, REVIEW, amount=7)
    told = (await registry_command("inspect", execution_id, **settings)).stdout
    assert all(text in told for text in (execution_id, "paused", '"amount": 7', "waits for a decision: Pay it?"))
    found = json.loads((await registry_command("inspect", execution_id, "--json", **settings)).stdout)
    assert (found["status"], len(found["events"])) == ("paused", 4)


async def test_an_execution_is_followed_while_it_is_decided_about(registry, settings):
    execution_id = await paused(registry.http, REVIEW)
    following = asyncio.create_task(registry_command("events", execution_id, "--follow", "--json", **settings))
    await asyncio.sleep(0.5)
    assert (await approve(registry.http, execution_id)).status_code == 200
    events = [json.loads(line) for line in (await following).stdout.splitlines()]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["kind"] == "WorkflowCompleted"


async def test_an_execution_is_decided_about_once(registry, settings):
    execution_id = await paused(registry.http, REVIEW)
    approving = ("approve", execution_id, "--decision", "approved", "--node-id", "review", "-c", "fine")
    approved = await registry_command(*approving, **settings)
    assert (approved.exit_code, "accepted      yes" in approved.stdout) == (0, True)
    await until(registry.http, execution_id)
    again = await registry_command(*approving, **settings)
    assert (again.exit_code, again.stderr) == (1, f"registry: conflict: execution {execution_id} is completed\n")


async def test_a_decision_that_is_none_is_refused(registry, settings):
    execution_id = await start(registry.http, REVIEW)
    done = await registry_command("approve", execution_id, "--decision", "maybe", **settings)
    assert done.exit_code == 1
    assert done.stderr == "registry: bad request: decision should be 'approved' or 'rejected'\n"


async def test_an_execution_is_cancelled(registry, settings):
    execution_id = await start(registry.http, REVIEW)
    done = await registry_command("cancel", execution_id, "--json", **settings)
    assert json.loads(done.stdout) == {"execution_id": execution_id, "status": "cancelled"}
    shown = await registry_command("events", execution_id, **settings)
    assert "cancelled: cancelled by " in shown.stdout.splitlines()[-1]


async def test_a_run_is_drawn_on_a_terminal(settings, file, tmp_path):
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "registry", "run", file, "--follow"]
    given = environment(**settings) | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    with os.fdopen(theirs, "wb") as terminal:
        running = await asyncio.to_thread(
            subprocess.Popen, command, cwd=tmp_path, env=given, stdin=terminal, stdout=terminal, stderr=terminal
        )
    shown = await asyncio.to_thread(everything_on, ours)
    assert await asyncio.to_thread(running.wait) == 0
    assert "\x1b[32m✓\x1b[0m \x1b[1mb" in shown
    assert "Traceback" not in shown


def everything_on(terminal: int) -> str:
    shown = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            more = b""
        if not more:
            os.close(terminal)
            return shown.decode()
        shown += more


async def test_nothing_that_somebody_wrote_moves_the_cursor(registry, settings):
    execution_id = await paused(registry.http, REVIEW)
    answer = await approve(registry.http, execution_id, decision="rejected", comment="\x1b[2Jno")
    assert answer.status_code == 200
    await until(registry.http, execution_id)
    for command in ("events", "inspect"):
        shown = await registry_command(command, execution_id, **settings)
        assert "\\x1b[2Jno" in shown.stdout
        assert "\x1b" not in shown.stdout


async def test_an_execution_is_followed_across_a_restart_of_the_registry(registry_dsn):
    async with running_registry(registry_dsn, worker=True) as registry:
        execution_id = await paused(registry.http, REVIEW)
        settings = {"jamjet_public_url": registry.url, "jamjet_token": registry.token}
        following = asyncio.create_task(registry_command("events", execution_id, "-f", "--json", **settings))
        await asyncio.sleep(0.5)
    async with running_registry(registry_dsn, port=int(registry.url.rpartition(":")[2]), worker=True) as registry:
        assert (await approve(registry.http, execution_id)).status_code == 200
        done = await following
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert (done.exit_code, events[-1]["type"]) == (0, "workflow_completed")
