"""What must hold on every day, good or bad, once it is quiet again.

Each returns what it has seen that must not be.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import httpx
import psutil

from groundwork.postgres.sql import Queries
from tests.faults.model import Book, Conversation, Message, what_is_wrong, what_was_not_called_once
from tests.faults.postgres import DATABASES
from tests.faults.town import AGENT_ID, CHECKPOINTS_KEPT, PEER_ID, POOL_SIZE, PROMPT, STRANGER_ID, Town
from tests.processes import environment

queries = Queries("tests.faults")

Invariant = Callable[[Town, Book], Awaitable[list[str]]]

_MOST_SHOWN = 5
_MOST_FILES, _MOST_MEGABYTES = 150, 400
"""Of a process that has nothing to do; one that has just started has a third of that."""


async def every_process_runs_until_it_is_told_to_stop(town: Town, book: Book) -> list[str]:
    for service in town.services:
        service.look_after()
    return [said for service in town.services for said in service.ended_by_itself]


async def every_process_that_is_told_to_stop_ends_well(town: Town, book: Book) -> list[str]:
    return [
        f"{service.name} ended with status {status}"
        for service in town.services
        for status in service.statuses
        if status != 0
    ]


async def nobody_gets_an_answer_that_nobody_should_get(town: Town, book: Book) -> list[str]:
    return book.odd[:_MOST_SHOWN]


async def no_log_tells_of_a_crash(town: Town, book: Book) -> list[str]:
    """Of a loop or a request: whatever fails outside is to be expected."""
    found = [
        f"{service.name}: {line.strip()}"
        for service in town.services
        for line in service.log.read_text(errors="replace").splitlines()
        if " ERROR " in line and "crashed" in line
    ]
    return found[:_MOST_SHOWN]


# Agents


async def no_turn_is_left_over(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("agents", queries.list_turns))


async def no_task_works_for_ever(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("agents", queries.list_open_tasks))


async def no_turn_fails(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("agents", queries.list_failed_tasks))


async def every_order_ends_as_it_should(town: Town, book: Book) -> list[str]:
    """Whatever the graph does: the turns beside those that must fail do not."""
    orders = {order.task_id: order for order in book.orders if order.task_id}
    rows = await town.postgres.ask("agents", queries.list_states, tasks=list(orders))
    states = {row["task_id"]: row["state"] for row in rows}
    accepted = {"strange": {"COMPLETED"}, "fails": {"FAILED"}, "odd": {"COMPLETED", "FAILED"}}
    return [
        f"{order} is {states.get(task_id)}"
        for task_id, order in orders.items()
        if states.get(task_id) not in accepted[order.thread_id.split("-")[0]]
    ][:_MOST_SHOWN]


async def every_call_is_made_once(town: Town, book: Book) -> list[str]:
    journal = town.journal.read_text() if town.journal.exists() else ""
    return what_was_not_called_once(book.orders, journal, book.disturbed)[:_MOST_SHOWN]


async def every_accepted_turn_is_there_once_and_in_order(town: Town, book: Book) -> list[str]:
    async with _client() as http:
        found = [
            f"{each.thread_id}: {wrong}"
            for each in book.kept
            for wrong in what_is_wrong(each.said, await _messages(http, town, each))
        ]
    return found[:_MOST_SHOWN]


async def every_thread_has_exactly_one_owner(town: Town, book: Book) -> list[str]:
    threads = [each.thread_id for each in book.kept if any(said.accepted for said in each.said)]
    rows = await town.postgres.ask("agents", queries.list_owners, threads=threads)
    owners = {row["thread_id"]: row["agent_id"] for row in rows}
    wrong = [f"{thread} belongs to {owners.get(thread)}" for thread in threads if owners.get(thread) != AGENT_ID]
    strange = await town.postgres.ask("agents", queries.list_strange_owners)
    return wrong[:_MOST_SHOWN] + _shown(strange)


async def every_deleted_thread_is_gone_from_every_table(town: Town, book: Book) -> list[str]:
    tables = await town.postgres.ask("agents", queries.list_tables_with_threads)
    found = []
    for table in tables:
        statement = f"SELECT DISTINCT thread_id FROM {table['table_name']} WHERE thread_id = ANY(%(threads)s)"
        rows = await town.postgres.ask("agents", statement, threads=sorted(book.deleted))
        found += [f"{row['thread_id']} is still in {table['table_name']}" for row in rows]
    return found[:_MOST_SHOWN]


async def the_events_of_a_task_have_no_gap(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("agents", queries.list_task_gaps))


async def no_thread_keeps_more_checkpoints_than_it_should(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("agents", queries.list_overlong, keep=CHECKPOINTS_KEPT))


async def no_blob_is_left_of_a_checkpoint_that_has_gone(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("agents", queries.list_unused_blobs))


async def every_lease_is_that_of_a_process_that_runs(town: Town, book: Book) -> list[str]:
    rows = await town.postgres.ask("agents", queries.list_live_processes)
    live = [row["agent_id"] for row in rows]
    expected = sorted([PEER_ID, AGENT_ID, AGENT_ID, STRANGER_ID, STRANGER_ID])
    workers = await town.postgres.ask("registry", queries.list_live_workers)
    return [
        *([] if live == expected else [f"leases of {live}, and {expected} run"]),
        *([] if len(workers) == 2 else [f"leases of workers: {workers}, and 2 run"]),
    ]


async def the_replicas_agree(town: Town, book: Book) -> list[str]:
    found = []
    async with _client() as http:
        for path in ("/api/v1/card/url", "/api/v1/memory/config"):
            said = [(await http.get(f"{replica.url}{path}")).json()["data"] for replica in town.replicas]
            if any(each != said[0] for each in said):
                found.append(f"{path}: {said}")
    return found


async def every_replica_runs_the_latest_components(town: Town, book: Book) -> list[str]:
    async with _client() as http:
        answer = await http.get(f"{town.registry.url}/components/prompt/{PROMPT}")
        latest = answer.json()["version"] if answer.is_success else None
        found = []
        for agent in town.agents:
            refs = (await http.get(f"{agent.url}/api/v1/registry/metadata")).json()["data"]["refs"]
            found += [f"{agent.name} has {ref}, not {latest}" for ref in refs if ref["version"] != latest]
    return found


async def no_caller_is_left_waiting(town: Town, book: Book) -> list[str]:
    """By the agents' own account: turns in hand, and requests that wait for a connection."""
    found = []
    async with _client() as http:
        for agent in town.agents:
            lines = (await http.get(f"{agent.url}/metrics")).text.splitlines()
            said = dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
            names = ("agent_turns_in_flight", "agent_requests_waiting")
            found += [f"{agent.name}: {name} is {said[name]}" for name in names if float(said[name])]
    return found


# The registry


async def every_agent_is_known_to_be_alive(town: Town, book: Book) -> list[str]:
    async with _client() as http:
        answer = await http.get(f"{town.registry.url}/agents?alive=true")
    alive = sorted(agent["agent_id"] for agent in answer.json()["agents"])
    return [] if alive == sorted([AGENT_ID, PEER_ID, STRANGER_ID]) else [f"alive are {alive}"]


async def no_execution_is_stuck(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("registry", queries.list_unended_executions))


async def every_started_execution_is_completed(town: Town, book: Book) -> list[str]:
    """Nothing that is done to them here is a reason for one to fail."""
    rows = await town.postgres.ask("registry", queries.list_execution_ids)
    known = {row["execution_id"].replace("-", "") for row in rows}
    lost = [each for each in book.executions if each.removeprefix("exec_") not in known]
    failed = await town.postgres.ask("registry", queries.list_failed_executions)
    return [f"{execution} is not there" for execution in lost[:_MOST_SHOWN]] + _shown(failed)


async def the_events_of_an_execution_have_no_gap(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("registry", queries.list_execution_gaps))


async def every_node_is_told_once(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("registry", queries.list_nodes_not_told_once))


async def nothing_waits_for_what_has_ended(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("registry", queries.list_leftovers))


async def the_audit_chain_is_whole(town: Town, book: Book) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "registry", "audit", "verify"),
        cwd=town.directory,
        env=environment(database_url=town.database_url("registry")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return [] if process.returncode == 0 else [said.decode()[-1000:]]


async def no_process_gathers_files_or_memory(town: Town, book: Book) -> list[str]:
    found = []
    for service in town.services:
        process = psutil.Process(service.pid)
        files, megabytes = process.num_fds(), process.memory_info().rss / 1e6
        if files > _MOST_FILES or megabytes > _MOST_MEGABYTES:
            found.append(f"{service.name} has {files} files open, and {megabytes:.0f} MB")
    return found


# PostgreSQL


async def no_transaction_is_left_open(town: Town, book: Book) -> list[str]:
    return _shown(await town.postgres.ask("postgres", queries.list_idle_in_transaction))


async def no_process_has_more_connections_than_its_pool(town: Town, book: Book) -> list[str]:
    """In all: that is what the server counts. Each has one more for its lease; registry and worker yet another, on
    which they listen."""
    most = len(town.services) * (POOL_SIZE + 1) + 2
    rows = await town.postgres.ask("postgres", queries.count_connections, databases=list(DATABASES))
    return [f"{row['connections']} connections, of {most}" for row in rows if row["connections"] > most]


INVARIANTS: tuple[Invariant, ...] = (
    every_process_runs_until_it_is_told_to_stop,
    every_process_that_is_told_to_stop_ends_well,
    nobody_gets_an_answer_that_nobody_should_get,
    no_log_tells_of_a_crash,
    no_turn_is_left_over,
    no_task_works_for_ever,
    no_turn_fails,
    every_order_ends_as_it_should,
    every_call_is_made_once,
    every_accepted_turn_is_there_once_and_in_order,
    every_thread_has_exactly_one_owner,
    every_deleted_thread_is_gone_from_every_table,
    the_events_of_a_task_have_no_gap,
    no_thread_keeps_more_checkpoints_than_it_should,
    no_blob_is_left_of_a_checkpoint_that_has_gone,
    no_execution_is_stuck,
    every_started_execution_is_completed,
    the_events_of_an_execution_have_no_gap,
    every_node_is_told_once,
    nothing_waits_for_what_has_ended,
    every_lease_is_that_of_a_process_that_runs,
    every_agent_is_known_to_be_alive,
    the_replicas_agree,
    every_replica_runs_the_latest_components,
    no_caller_is_left_waiting,
    no_process_gathers_files_or_memory,
    no_transaction_is_left_open,
    no_process_has_more_connections_than_its_pool,
    the_audit_chain_is_whole,
)
"""In the order in which they are looked at: what others follow from comes first."""


LASTING = (
    every_order_ends_as_it_should,
    every_call_is_made_once,
    every_accepted_turn_is_there_once_and_in_order,
    every_thread_has_exactly_one_owner,
    every_deleted_thread_is_gone_from_every_table,
    every_started_execution_is_completed,
)
"""What was promised in a round and holds for ever; the others look at everything that there is, every time."""

INCURABLE = {
    every_process_runs_until_it_is_told_to_stop,
    every_process_that_is_told_to_stop_ends_well,
    nobody_gets_an_answer_that_nobody_should_get,
    no_log_tells_of_a_crash,
    no_turn_fails,
    every_order_ends_as_it_should,
    every_call_is_made_once,
}
"""There is no waiting for them: what was seen once has happened."""


async def no_connection_is_left_over(town: Town, book: Book) -> list[str]:
    """When everybody has gone."""
    rows = await town.postgres.ask("postgres", queries.count_connections, databases=list(DATABASES))
    return [f"{row['connections']} connections" for row in rows if row["connections"]]


def name_of(invariant: Invariant) -> str:
    return invariant.__name__.replace("_", " ")


def _shown(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return [", ".join(f"{name} {value}" for name, value in row.items()) for row in rows][:_MOST_SHOWN]


async def _messages(http: httpx.AsyncClient, town: Town, conversation: Conversation) -> list[Message]:
    answer = await http.get(f"{town.replicas[0].url}/api/v1/memory/threads/{conversation.thread_id}/messages")
    if answer.status_code == 404:
        return []  # nothing that was sent has been accepted
    answer.raise_for_status()
    return [(message["role"], message["content"]) for message in answer.json()["data"]["messages"]]


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=20, verify=False)
