"""The events of an execution: in the form that is documented, and in the one that JamJet's own clients read."""

import re

import httpx
import pytest

from tests.registry.executions.runs import TWO_STEPS, events_of, start, until
from tests.registry.registries import Served

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TYPES = [
    *("workflow_started", "node_scheduled", "node_started", "node_completed"),
    *("node_scheduled", "node_started", "node_completed", "workflow_completed"),
]


@pytest.fixture
def http(registry: Served) -> httpx.AsyncClient:
    return registry.http


@pytest.fixture
async def ended(http: httpx.AsyncClient) -> str:
    """An execution that has ended."""
    execution_id = await start(http, TWO_STEPS, query="what?")
    await until(http, execution_id)
    return execution_id


async def test_events_are_numbered_from_one_and_named_as_documented(http, ended):
    events = await events_of(http, ended)
    assert [event["sequence"] for event in events] == list(range(1, 9))
    assert [event["type"] for event in events] == TYPES
    assert [event["kind"] for event in events][:4] == [
        *("WorkflowStarted", "NodeScheduled", "NodeStarted", "NodeCompleted")
    ]
    assert [event["node_id"] for event in events] == [None, "a", "a", "a", "b", "b", "b", None]
    assert {event["execution_id"] for event in events} == {ended}
    assert len({event["id"] for event in events}) == 8
    assert all(MOMENT.fullmatch(event["created_at"]) for event in events)
    assert all(event["protocol"] is None for event in events)


async def test_jamjets_clients_find_the_event_itself_in_its_kind(http, ended):
    events = (await http.get(f"/jamjet/executions/{ended}/events")).json()["events"]
    assert [event["kind"]["type"] for event in events] == TYPES
    assert events[0]["kind"] == {
        "type": "workflow_started",
        "workflow_id": "test",
        "workflow_version": "1.0.0",
        "initial_input": {"query": "what?"},
    }
    assert events[2]["kind"].items() >= {"type": "node_started", "node_id": "a", "attempt": 0}.items()
    assert events[3]["kind"].keys() >= {"node_id", "output", "state_patch", "duration_ms"}


async def test_both_forms_differ_in_nothing_but_the_kind(http, ended):
    documented = await events_of(http, ended)
    runtimes = (await http.get(f"/jamjet/executions/{ended}/events")).json()["events"]
    assert [event["kind"] for event in runtimes] == [event["data"] for event in documented]
    assert [event | {"kind": None} for event in runtimes] == [event | {"kind": None} for event in documented]


async def test_either_form_can_be_asked_for_anywhere(http, ended):
    for prefix in ("", "/jamjet"):
        for kind, expected in {"name": str, "object": dict}.items():
            answer = await http.get(f"{prefix}/executions/{ended}/events", params={"kind": kind})
            assert {type(event["kind"]) for event in answer.json()["events"]} == {expected}


async def test_events_can_be_read_in_parts(http, ended):
    numbers = {
        (): range(1, 9),
        (("after", 6),): (7, 8),
        (("after", 8),): (),
        (("after", 100),): (),
        (("limit", 3),): (1, 2, 3),
        (("after", 3), ("limit", 2)): (4, 5),
        (("after", 7), ("limit", 1000)): (8,),
    }
    for query, expected in numbers.items():
        events = await events_of(http, ended, **dict(query))
        assert [event["sequence"] for event in events] == list(expected), query


async def test_as_many_events_as_there_are_are_answered_whole(http, registry_pool, ended):
    async with registry_pool.connection() as conn:
        given = {"execution_id": ended.removeprefix("exec_")}
        more = """SELECT append_execution_events(%(execution_id)s, jsonb_agg(
                      jsonb_build_object('type', 'node_skipped', 'node_id', n::text, 'data', '{}'::jsonb)))
                    FROM generate_series(1, 1234) AS n"""
        await conn.execute(more, given)
    events = await events_of(http, ended)
    assert [event["sequence"] for event in events] == list(range(1, 1243))
    part = await events_of(http, ended, after=500, limit=450)
    assert [event["sequence"] for event in part] == list(range(501, 951))


@pytest.mark.parametrize(
    "query",
    ["after=-1", "after=x", "limit=0", "limit=1001", "kind=both", "stream=yes", "stream=true&limit=1", "x=1"],
)
async def test_events_that_are_asked_for_wrongly_are_refused(http, ended, query):
    answer = await http.get(f"/executions/{ended}/events?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("bad request: ")
