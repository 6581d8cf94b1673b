"""What is one tenant's is nobody else's: on every route there is, reading and writing."""

import json
from dataclasses import dataclass

import httpx
import pytest

from registry.components.models import KINDS
from tests.registry.walks import Route, example, list_routes

_SECRET = "known-to-acme-alone"
_SETTING = "known-to-acme-and-the-platform"
_COMMON = "an-agent-of-both"
_OWN = "an-agent-of-acme"


@dataclass
class Stranger:
    """Somebody who is not of acme, and what must be hidden from them."""

    http: httpx.AsyncClient
    hidden: tuple[str, ...]


@pytest.fixture
async def ids(registry, registry_pool):
    """What the things of acme are called, which has something of everything."""
    await registry.http.post("/tenants", json={"id": "acme", "name": _SETTING, "policy": {"why": _SETTING}})
    acme = await registry.client_of("operator", "acme")
    for agent_id in (_COMMON, _OWN):
        await _add_agent(acme, agent_id)
        await _add_components(acme, agent_id)
    made = (await acme.post("/tokens", json={"role": "developer", "name": _SECRET})).json()
    await (await registry.client(made["token"])).post("/tokens", json={})  # refused, and so in the log
    ids = {value for row in await _rows_of_acme(registry_pool) for value in _ids_in(json.loads(row))}
    assert {_COMMON, _OWN, "acme", made["token_id"]} <= ids
    return sorted(ids)


@pytest.fixture
async def beta(registry):
    """An operator of another tenant, which has an agent of the same id as one of acme's."""
    client = await registry.client_of("operator", "beta")
    answer = await client.post("/agents", json={"id": _COMMON, "uri": "http://beta.test/", "name": "Of beta"})
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
        "incarnation": _SECRET,
        "heartbeat_seconds": 600,
    }
    assert (await client.post("/agents", json=card)).status_code == 201
    assert (await client.post(f"/agents/{agent_id}/activate")).status_code == 200
    failing = {"incarnation": _SECRET, "health": "failing", "reason": _SECRET}
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
    report = {"incarnation": _SECRET, "refs": uses}
    assert (await client.put(f"/agents/{component_id}/components", json=report)).status_code == 200


async def test_acme_itself_is_shown_what_is_kept_from_others(registry, ids):
    """Or else the walks below would find nothing whatever the routes answered."""
    acme = await registry.client_of("operator", "acme")
    components = (f"/components/prompt/{_OWN}", f"/components/agent/{_OWN}/status")
    for path in ("/agents", f"/agents/{_OWN}", "/audit", "/tokens", *components):
        assert _SECRET in (await acme.get(path)).text, path
    assert _SETTING in (await acme.get("/tenants")).text


async def test_no_list_shows_another_tenants_things(strangers, ids):
    own = [name for name in ids if name.startswith(("tok_", _OWN))]
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
            for path in route.paths(*(name for name in ids if name != _COMMON)):
                assert (await beta.get(path)).status_code == 404, path


async def test_no_write_reaches_another_tenants_things(registry_pool, strangers, ids):
    before, accepted = await _rows_of_acme(registry_pool), set()
    for stranger in strangers:
        for route in await list_routes(stranger.http):
            if route.changes_something:
                statuses = await _see_that_nothing_is_told(stranger, route, ids)
                accepted |= {(route.method, route.path)} if statuses & {200, 201} else set()
    asked = {("post", "/agents"), ("delete", "/agents/{agent_id}"), ("put", "/components/{kind}/{component_id}")}
    assert asked <= accepted, "the walk asks for too little"
    assert await _rows_of_acme(registry_pool) == before


async def _see_that_nothing_is_told(stranger, route, ids):
    """The statuses of the answers."""
    answers = await _ask(stranger.http, route, ids)
    for answer in answers:
        assert not [text for text in stranger.hidden if text in answer.text], answer.request.url
        assert answer.status_code not in (500, 503), (answer.request.url, answer.text)
    return {answer.status_code for answer in answers}


async def _ask(client: httpx.AsyncClient, route: Route, ids: list[str]) -> list[httpx.Response]:
    """The route's answers with each of the ids, wherever there is room for one: path, query and body."""
    answers = []
    for path in route.paths(*ids):
        queries = [{name: value} for name in route.query for value in ids]
        bodies = [{}, *({} if route.body is None else example(route.body, value) for value in ids)]
        if route.body is not None or route.changes_something:
            answers += [await client.request(route.method, path, json=body) for body in bodies]
        else:
            answers += [await client.request(route.method, path, params=query) for query in [{}, *queries]]
    return answers


def _ids_in(row):
    named = {name: value for name, value in row.items() if name.endswith("_id") and name != "request_id"}
    return [value for value in named.values() if isinstance(value, str)]


async def _rows_of_acme(pool):
    """Everything the database has of acme, as text."""
    tables = await _rows(
        pool,
        "SELECT table_name FROM information_schema.columns JOIN information_schema.tables"
        " USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name = 'tenant_id'",
    )
    rows = []
    for table in tables:
        name = table["table_name"]
        rows += await _rows(pool, f"SELECT to_jsonb(t)::text AS text FROM \"{name}\" t WHERE tenant_id = 'acme'")
    return sorted(row["text"] for row in rows)


async def _rows(pool, statement):
    async with pool.connection() as conn:
        return await (await conn.execute(statement)).fetchall()
