"""Pages of lists, of a thousand things and of a million."""

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

import httpx

from agent_runtime.database import prepare_database as prepare_agent
from benchmarks.bench import Bench
from benchmarks.filled import fill, prepared
from benchmarks.report import Row, at_most
from benchmarks.served import Served, running_agent, running_registry
from registry.database import prepare_database as prepare_registry

FEW, MANY = 1_000, 1_000_000
PAGES = 100
PAGE_ROUNDS = 3

Url = Callable[[int], str]
"""Of the page of that number, for lists whose pages are not told by the page before."""


async def run(bench: Bench) -> Sequence[Row]:
    rows = list(await _threads(bench))
    return rows + await _registry(bench)


async def _threads(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        agents = {}
        for number in (FEW, MANY):
            dsn = await stack.enter_async_context(bench.database())
            await prepared(dsn, prepare_agent)
            await fill(dsn, "threads", agent_id="bench", threads=number)
            agents[number] = await stack.enter_async_context(running_agent(dsn))
        bench.say("a page of 100 threads, p95 in milliseconds")
        path = "/api/v1/memory/threads?limit=100"
        pages = {number: partial(_turning_pages, agents[number], path, "cursor") for number in agents}
        rows = [await _compare(bench, "a page of 100 threads", pages, goal=1.5)]
        return [*rows, await _listing_memory(bench, agents[MANY])]


async def _registry(bench: Bench) -> list[Row]:
    async with AsyncExitStack() as stack:
        registries = {}
        for number in (FEW, MANY):
            dsn = await stack.enter_async_context(bench.database())
            await prepared(dsn, prepare_registry)
            tables = ("idle_agents", "executions", "audit_entries")
            await fill(dsn, *tables, agents=number, executions=number, entries=number)
            registries[number] = await stack.enter_async_context(running_registry(dsn))
        rows = []
        for what, path, by in (
            ("agents", "/agents?limit=50", "cursor"),
            ("active agents", "/agents?limit=50&status=active", "cursor"),
            ("executions", "/executions?limit=50", "offset"),
            ("failed executions", "/executions?limit=50&status=failed", "offset"),
            ("audit entries", "/audit?limit=50", "offset"),
            ("audit entries of one kind", "/audit?limit=50&event_type=agent_paused", "offset"),
        ):
            bench.say(f"a page of 50 {what}, p95 in milliseconds")
            pages = {number: partial(_turning_pages, registries[number], path, by) for number in registries}
            rows.append(await _compare(bench, f"a page of 50 {what}", pages, goal=2.0))
        return rows


async def _compare(
    bench: Bench, what: str, pages: Mapping[int, Callable[[], Awaitable[float]]], *, goal: float
) -> Row:
    variants = {f"{number:,} there": turn for number, turn in pages.items()}
    samples = await bench.rounds(variants, rounds=PAGE_ROUNDS, unit="ms")
    few, many = variants
    return Row(f"{what}, p95, {MANY:,} ÷ {FEW:,}", at_most(goal), samples.ratios(many, few))


async def _turning_pages(served: Served, path: str, by: str) -> float:
    """The p95 in milliseconds of the first pages, from the first one again after the last."""
    latencies: list[float] = []
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as http:
        place: str | int | None = None
        while len(latencies) < PAGES:
            started = time.perf_counter()
            answer = await http.get(path if place is None else f"{path}&{by}={place}")
            latencies.append(1000 * (time.perf_counter() - started))
            place = _next_place(answer.raise_for_status().json(), by, place)
    return statistics.quantiles(latencies, n=20)[-1]


def _next_place(page: dict[str, object], by: str, place: str | int | None) -> str | int | None:
    if by == "offset":
        passed = (place if isinstance(place, int) else 0) + 50
        return passed if passed < FEW // 100 * 50 and passed < 500 else None
    data = page.get("data", page)
    assert isinstance(data, dict)
    cursor = data["next_cursor"]
    return cursor if isinstance(cursor, str) else None


async def _listing_memory(bench: Bench, agent: Served) -> Row:
    """How much larger the process becomes while a list of all threads is read to its end."""
    length, before = 0, agent.resident_megabytes
    most = before
    async with (
        httpx.AsyncClient(base_url=agent.url, timeout=120) as http,
        http.stream("GET", "/api/v1/memory/threads") as answer,
    ):
        async for chunk in answer.aiter_bytes():
            length += len(chunk)
            most = max(most, agent.resident_megabytes)
    assert length > MANY * 30, "not every thread was listed"
    bench.say(f"  a list of {MANY:,} threads: {length / 1e6:.0f} MB, {most - before:.1f} MB more memory at most")
    return Row(f"listing {MANY:,} threads: memory above idle", at_most(20, "MB"), [most - before])
