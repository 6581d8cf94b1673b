"""What is one tenant's is nobody else's: on every route there is, reading and writing."""

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest

from registry.components.models import KINDS
from tests.registry.engine.workflows import document
from tests.registry.executions.runs import REVIEW, start
from tests.registry.registries import running_registry
from tests.registry.walks import Route, example, list_routes
from tests.registry.work_items.test_work_items import FN

_SECRET = "known-to-acme-alone"
_SETTING = "known-to-acme-and-the-platform"
_COMMON = "an-agent-of-both"
_OWN = "an-agent-of-acme"
_PROCESS = "a-process-of-acme"
_WORKER = "a-worker-of-acme"
_WAITING = document(
    {
        "both": {"type": "parallel", "branches": ["review", "price"]},
        "review": {"type": "human_approval"},
        "price": FN,
    },
    [],
    description=_SECRET,
)
"""What waits for a person and for a worker outside."""

_FITTING: dict[str, object] = {
    "admin_url": "http://127.0.0.1:9",
    "cron_expression": "0 3 29 2 *",
    "decision": "approved",
    "answered": [],
    "complete_since": None,
    "digest": None,
    "edited_action": None,
    "incarnation": _PROCESS,
    "ir": REVIEW | {"workflow_id": _COMMON},
    "lease_fence": 1,
    "node_id": "review",
    "part": 0,
    "questions": [],
    "read_at": "2026-01-01T00:00:00Z",
    "time_zone": "Europe/Berlin",
    "workflow_version": "1.0.0",
}
"""What goes into a body besides ids, so that it would be accepted from acme itself."""

_OTHERS = (_COMMON, _OWN, "acme")
"""What stands in every body and query. Agents, components, workflows and cron jobs of acme are called so."""

_IN_BODIES = ("token_id", "execution_id")

_ASKED = {
    ("post", "/agents"),
    ("delete", "/agents/{agent_id}"),
    ("put", "/components/{kind}/{component_id}"),
    ("post", "/workflows"),
    ("post", "/executions"),
    ("post", "/work-items/claim"),
    ("post", "/cron"),
    ("delete", "/cron/{name}"),
    ("post", "/artifacts"),
}
"""What somebody of another tenant does to things of their own on the way, some of the same names."""


@dataclass
class Stranger:
    """Somebody who is not of acme, and what must be hidden from them."""

    http: httpx.AsyncClient
    hidden: tuple[str, ...]


@pytest.fixture
async def ids(registry, registry_dsn, registry_pool):
    """What the things of acme are called, which has something of everything, by the place in a path where the name
    can stand."""
    await registry.http.post("/tenants", json={"id": "acme", "name": _SETTING, "policy": {"why": _SETTING}})
    acme = await registry.client_of("operator", "acme")
    for agent_id in (_COMMON, _OWN):
        await _add_agent(acme, agent_id)
        await _add_components(acme, agent_id)
        await _add_cron_job(acme, agent_id)
    async with running_registry(registry_dsn, worker=True):
        await _add_executions(acme)
    assert (await acme.post("/artifacts", content=_SECRET)).status_code == 200
    await _add_erasure(acme)
    made = (await acme.post("/tokens", json={"role": "developer", "name": _SECRET})).json()
    await (await registry.client(made["token"])).post("/tokens", json={})  # refused, and so in the log
    ids = defaultdict(set)
    for row in await _rows_of_acme(registry_pool):
        for place, name in _ids_in(json.loads(row)):
            ids[place].add(name)
    # Not of the execution that is approved otherwise.
    approved = UUID(min(ids["execution_id"]).removeprefix("exec_")).hex
    asked = (await acme.get("/decisions")).json()["decisions"]
    ids["decision_id"] = {one["decision_id"] for one in asked if one["execution_id"] != f"exec_{approved}"}
    assert made["token_id"] in ids["token_id"]
    assert ids["tenant_id"] == {"acme"}
    for place in ("agent_id", "component_id", "workflow_id", "name"):
        assert ids[place] >= {_COMMON, _OWN}, place
    assert [len(ids[place]) for place in ("execution_id", "work_item_id", "digest")] == [6, 3, 1]
    return {place: sorted(names) for place, names in ids.items()}


@pytest.fixture
async def beta(registry):
    """An operator of another tenant, which has an agent and a workflow of the same ids as two of acme's."""
    client = await registry.client_of("operator", "beta")
    answer = await client.post("/agents", json={"id": _COMMON, "uri": "http://beta.test/", "name": "Of beta"})
    assert answer.status_code == 201
    answer = await client.post("/workflows", json={"ir": _FITTING["ir"]})
    assert answer.status_code == 201
    return client


@pytest.fixture
async def strangers(registry, ids, beta):
    """How the platform has set acme up is also known to its own people, from its audit log."""
    return [
        Stranger(beta, (_SECRET, _SETTING)),
        Stranger(await registry.client_of("developer"), (_SECRET,)),
        Stranger(await registry.client(), (_SECRET, _SETTING)),
    ]


async def _add_agent(client, agent_id):
    card = {
        "id": agent_id,
        "uri": f"http://{_SECRET}.test/{agent_id}",
        "name": _SECRET,
        "description": _SECRET,
        "capabilities": {"skills": [{"name": _SECRET}], "protocols": [_SECRET]},
        "incarnation": _PROCESS,
        "heartbeat_seconds": 600,
    }
    assert (await client.post("/agents", json=card)).status_code == 201
    assert (await client.post(f"/agents/{agent_id}/activate")).status_code == 200
    failing = {"incarnation": _PROCESS, "health": "failing", "reason": _SECRET}
    assert (await client.post(f"/agents/{agent_id}/heartbeat", json=failing)).status_code == 200


async def _add_components(client, component_id):
    """One of each kind, which an agent of the same id is said to use."""
    for kind, content in (
        ("model", {"model": f"openai:{_SECRET}"}),
        ("prompt", {"template": _SECRET}),
        ("mcp", {"url": f"http://{_SECRET}.test"}),
    ):
        assert (await client.put(f"/components/{kind}/{component_id}", json=content)).status_code == 201
    uses = [{"kind": kind, "id": component_id, "status": "failed", "error": _SECRET} for kind in KINDS]
    report = {"incarnation": _PROCESS, "refs": uses}
    assert (await client.put(f"/agents/{component_id}/components", json=report)).status_code == 200


async def _add_cron_job(client, name):
    """One that is not due soon, with a workflow of the same name."""
    answer = await client.post("/workflows", json={"ir": _WAITING | {"workflow_id": name}})
    assert answer.status_code == 201, answer.text
    job = {"name": name, "workflow_id": name, "input": {"said": _SECRET}}
    answer = await client.post("/cron", json=job | {"cron_expression": _FITTING["cron_expression"]})
    assert answer.status_code == 201, answer.text


async def _add_executions(client):
    """Three that wait for a person, and for a worker outside that has claimed the work."""
    workflow = _WAITING | {"workflow_id": _OWN}
    claim = {"worker_id": _WORKER, "queue_types": ["python_tool"]}
    for execution_id in [await start(client, workflow, said=_SECRET) for _ in range(3)]:
        async with asyncio.timeout(20):
            while not (await client.get(f"/executions/{execution_id}/approvals")).json()["pending"]:
                await asyncio.sleep(0.02)
            while not (await client.post("/work-items/claim", json=claim)).json()["claimed"]:
                await asyncio.sleep(0.02)


async def _add_erasure(client):
    """One that waits for the agents alone."""
    asked = (await client.post("/erasures", json={"thread_ids": [_SECRET]})).json()
    async with asyncio.timeout(20):
        while asked["registry_done_at"] is None:
            await asyncio.sleep(0.05)
            asked = (await client.get(f"/erasures/{asked['erasure_id']}")).json()


async def test_acme_itself_is_shown_what_is_kept_from_others(registry, ids):
    """Or else the walks below would find nothing whatever the routes answered."""
    acme = await registry.client_of("operator", "acme")
    components = (f"/components/prompt/{_OWN}", f"/components/agent/{_OWN}/status")
    runs = (
        f"/workflows/{_OWN}",
        f"/executions/{ids['execution_id'][0]}",
        "/cron",
        f"/artifacts/{ids['digest'][0]}",
    )
    for path in ("/agents", f"/agents/{_OWN}", "/audit", "/tokens", *components, *runs):
        assert _SECRET in (await acme.get(path)).text, path
    assert _SETTING in (await acme.get("/tenants")).text


async def test_acme_itself_may_do_what_is_kept_from_others(registry, ids):
    """Or else the walk below would ask in vain: each route with an id of its own, and what ends things last."""
    acme = await registry.client_of("operator", "acme")
    routes = [
        route
        for route in await list_routes(acme)
        # No process of these agents runs that could answer for them.
        if route.changes_something and "{" in route.path and not _is_answered_by_agents(route)
    ]
    refused = set()
    asked: Counter[str] = Counter()
    for route in sorted(routes, key=_ends_things):
        [place] = _places(route)
        own = ids[place][asked[place] % len(ids[place])]
        asked[place] += 1
        if not {answer.status_code for answer in await _ask(acme, route, ids, [own])} & {200, 201}:
            refused.add((route.method, route.path))
    assert refused == {("put", "/tenants/{tenant_id}"), ("delete", "/tenants/{tenant_id}")}


async def test_no_list_shows_another_tenants_things(strangers, ids):
    own = [
        _OWN,
        *(name for place in ("token_id", "execution_id", "work_item_id", "digest") for name in ids[place]),
    ]
    for stranger in strangers:
        for route in await list_routes(stranger.http):
            if not route.changes_something and "{" not in route.path:
                answer = await stranger.http.get(route.path)
                assert not [text for text in (*stranger.hidden, *own) if text in answer.text], route


async def test_no_answer_to_somebody_who_knows_the_ids_tells_more(strangers, ids):
    for stranger in strangers:
        for route in await list_routes(stranger.http):
            if not route.changes_something:
                await _see_that_nothing_is_told(stranger, route, ids)


async def test_what_is_anothers_is_not_found(beta, ids):
    for route in await list_routes(beta):
        if not route.changes_something and "{" in route.path:
            for path in route.paths(*(name for name in _names_for(route, ids) if name != _COMMON)):
                assert (await beta.get(path)).status_code == 404, path


async def test_no_write_reaches_another_tenants_things(registry_pool, strangers, ids):
    before, accepted = await _rows_of_acme(registry_pool), set()
    alive_until = await _alive_until(registry_pool)
    for stranger in strangers:
        for route in await list_routes(stranger.http):
            if route.changes_something:
                statuses = await _see_that_nothing_is_told(stranger, route, ids)
                accepted |= {(route.method, route.path)} if statuses & {200, 201} else set()
    assert accepted >= _ASKED, "the walk asks for too little"
    assert await _rows_of_acme(registry_pool) == before
    assert await _alive_until(registry_pool) >= alive_until, "nobody else ends an agent's time"


async def _see_that_nothing_is_told(stranger, route, ids):
    """The statuses of the answers."""
    answers = await _ask(stranger.http, route, ids)
    for answer in answers:
        assert not [text for text in stranger.hidden if text in answer.text], answer.request.url
        unwanted = (500,) if _is_answered_by_agents(route) else (500, 503)
        assert answer.status_code not in unwanted, (answer.request.url, answer.text)
    return {answer.status_code for answer in answers}


async def _ask(client: httpx.AsyncClient, route: Route, ids, in_path=None) -> list[httpx.Response]:
    """The route's answers with each of the ids that can stand in its path, or just those `in_path`; and with a few
    of each kind in the query or the body."""
    answers = []
    for path in route.paths(*(in_path or _names_for(route, ids))):
        if route.body is not None or route.changes_something:
            texts = [*_OTHERS, *(ids[place][0] for place in _IN_BODIES)]
            bodies = [{}, *(_body(route.body, text) for text in texts if route.body is not None)]
            answers += [await client.request(route.method, path, json=body) for body in bodies]
        else:
            queries = [{name: value} for name in route.query for value in _unlike(ids.get(name, _OTHERS))]
            answers += [await client.request(route.method, path, params=query) for query in [{}, *queries]]
    return answers


def _names_for(route: Route, ids):
    named = (name for place in _places(route) for name in _unlike(ids.get(place, ())))
    return list(dict.fromkeys([*named, _OWN, "acme"]))


def _unlike(names: Sequence[str]) -> Sequence[str]:
    """Of many that are alike, one; an execution has an id in the database and another outside."""
    return names if len(names) < 3 else list({name.startswith("exec_"): name for name in names}.values())


def _is_answered_by_agents(route: Route) -> bool:
    return route.path.startswith("/agents/") and any(
        part in route.path for part in ("/admin/", "/messages", "/tasks/")
    )


def _places(route: Route):
    return [place for place in re.findall(r"{([^}]*)}", route.path) if place not in ("kind", "path", "task_id")]


def _ends_things(route: Route):
    return route.method == "delete", route.path.endswith(("/cancel", "/deactivate")), route.path


def _body(schema, text):
    body = example(schema, text)
    return body | {name: _FITTING[name] for name in body.keys() & _FITTING.keys()}


def _ids_in(row):
    """Each name with the place in a path where it can stand, or else with its column."""
    for column, value in row.items():
        if column.endswith("_id") and column != "request_id" and isinstance(value, str):
            yield column, value
    if row.get("status") and "execution_id" in row:
        yield "execution_id", f"exec_{row['execution_id'].replace('-', '')}"
    if "cron_expression" in row:
        yield "name", row["name"]
    if "media_type" in row:
        yield "digest", row["hash"].removeprefix("\\x")


async def _rows_of_acme(pool):
    """Everything the database has of acme, as text; what belongs to an execution does not name the tenant. But not
    until when its agents are taken to be alive: a registry that was held up for once gives them all longer."""
    tables = await _rows(
        pool,
        "SELECT table_name AS name, bool_or(column_name = 'tenant_id') AS of_a_tenant"
        " FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        " AND column_name IN ('tenant_id', 'execution_id') GROUP BY table_name",
    )
    of_its_executions = "execution_id IN (SELECT execution_id FROM executions WHERE tenant_id = 'acme')"
    rows = []
    for table in tables:
        whose = "tenant_id = 'acme'" if table["of_a_tenant"] else of_its_executions
        rows += await _rows(
            pool, f"SELECT (to_jsonb(t) - 'alive_until')::text AS text FROM \"{table['name']}\" t WHERE {whose}"
        )
    return sorted(row["text"] for row in rows)


async def _alive_until(pool):
    rows = await _rows(
        pool, "SELECT agent_id, alive_until FROM agent_instances WHERE tenant_id = 'acme' ORDER BY agent_id"
    )
    return [row["alive_until"] for row in rows]


async def _rows(pool, statement):
    async with pool.connection() as conn:
        return await (await conn.execute(statement)).fetchall()
