"""Workflows over HTTP: registered, revised, found, and nobody else's."""

import asyncio

import pytest

from registry.workflows import store
from tests.registry.workflows.samples import ir, load_sample

STOP = {"id": "stop", "type": "end"}


async def _register(http, *, version="1.0.0", **more):
    answer = await http.post("/workflows", json={"ir": ir(STOP) | {"version": version} | more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def _latest(http):
    answer = await http.get("/workflows/w")
    return answer.json()["version"], answer.json()["revision"]


async def test_a_workflow_is_registered_and_shown(registry):
    document = load_sample("01")
    answer = await registry.http.post("/workflows", json={"ir": document})
    assert (answer.status_code, answer.json()) == (
        201,
        {"workflow_id": "expense-route", "version": "0.1.0", "revision": 1, "created": True},
    )
    shown = (await registry.http.get("/workflows/expense-route")).json()
    assert shown["ir"] == document
    assert (shown["name"], shown["description"]) == (document["name"], document["description"])
    assert [(each["version"], each["revision"]) for each in shown["versions"]] == [("0.1.0", 1)]


async def test_a_bad_document_is_refused_with_all_its_problems(registry):
    document = ir({"id": "a", "type": "python_fn"}, edges=[("a", "b")])
    answer = await registry.http.post("/workflows", json={"ir": document})
    assert (answer.status_code, answer.json()) == (
        400,
        {
            "error": "bad request: ir.nodes.a.kind.module is required; ir.nodes.a.kind.function is required; "
            "ir.edges.0.to: there is no node 'b'"
        },
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [({}, "ir is required"), ({"ir": []}, "ir should be an object"), ([], "must be a JSON obj")],
)
async def test_a_body_without_a_document_is_refused(registry, body, problem):
    answer = await registry.http.post("/workflows", json=body)
    assert answer.status_code == 400
    assert problem in answer.json()["error"]


async def test_the_same_document_is_the_same_revision(registry):
    document = ir(STOP)
    rewritten = dict(reversed(document.items()))
    answers = [
        (await registry.http.post("/workflows", json={"ir": each})).json() for each in (document, rewritten)
    ]
    assert [(answer["revision"], answer["created"]) for answer in answers] == [(1, True), (1, False)]


async def test_another_document_is_the_next_revision_and_none_is_lost(registry, registry_pool):
    for name in ("one", "two", "one"):
        await _register(registry.http, name=name)
    assert await _latest(registry.http) == ("1.0.0", 3)
    query = [(await registry.http.get(f"/workflows/w?revision={number}")).json()["name"] for number in (1, 2, 3)]
    assert query == ["one", "two", "one"]
    async with registry_pool.connection() as conn:
        begun_with = await store.get_version(conn, "default", "w", "1.0.0", 1)
        assert await store.get_revision(conn, begun_with.revision_id) == begun_with


async def test_the_latest_version_is_the_greatest_semantic_one(registry):
    for version in ("0.9.0", "0.10.0", "0.10.0-rc.1", "0.2.0"):
        await _register(registry.http, version=version)
    await _register(registry.http, version="0.9.0", name="revised")
    shown = (await registry.http.get("/workflows/w")).json()
    assert [each["version"] for each in shown["versions"]] == ["0.10.0", "0.10.0-rc.1", "0.9.0", "0.2.0"]
    assert await _latest(registry.http) == ("0.10.0", 1)


async def test_versions_that_are_not_all_semantic_go_by_registration(registry):
    for version in ("2.0.0", "beta", "1.0.0"):
        await _register(registry.http, version=version)
    assert await _latest(registry.http) == ("1.0.0", 1)
    await _register(registry.http, version="beta", name="revised")
    assert await _latest(registry.http) == ("beta", 2)


async def test_the_order_of_nodes_survives_where_it_says_where_to_start(registry):
    nodes = [{"id": "zz", "type": "end"}, {"id": "a", "type": "end"}]
    for each, revision in ((nodes, 1), (nodes[::-1], 2)):
        answer = await registry.http.post("/workflows", json={"ir": ir(*each, edges=[])})
        assert answer.json()["revision"] == revision
    assert list((await registry.http.get("/workflows/w?revision=1")).json()["ir"]["nodes"]) == ["zz", "a"]


async def test_one_version_is_found_by_its_name(registry):
    for version in ("0.1.0+aaa", "0.1.0+bbb"):
        await _register(registry.http, version=version, name=version)
    found = await registry.http.get("/workflows/w", params={"version": "0.1.0+aaa"})
    assert found.json()["name"] == "0.1.0+aaa"
    missing = await registry.http.get("/workflows/w", params={"version": "0.2.0", "revision": 7})
    assert (missing.status_code, missing.json()) == (404, {"error": "not found: workflow w version 0.2.0"})


async def test_workflows_are_listed_with_their_latest_version(registry):
    for workflow_id, version in (("b", "1.0.0"), ("a", "1.0.0"), ("b", "2.0.0"), ("c", "1.0.0")):
        await _register(registry.http, workflow_id=workflow_id, version=version)
    page = (await registry.http.get("/workflows?limit=2")).json()
    assert ([(each["workflow_id"], each["version"]) for each in page["workflows"]], page["total"]) == (
        [("a", "1.0.0"), ("b", "2.0.0")],
        3,
    )
    rest = (await registry.http.get("/workflows?limit=2&offset=2")).json()["workflows"]
    assert [each["workflow_id"] for each in rest] == ["c"]


async def test_two_that_register_at_once_make_two_revisions(registry):
    answers = await asyncio.gather(*(_register(registry.http, name=str(number)) for number in range(8)))
    assert sorted(answer["revision"] for answer in answers) == list(range(1, 9))
    assert await _latest(registry.http) == ("1.0.0", 8)


async def test_tenants_have_workflows_of_their_own(registry):
    acme = await registry.client_of("developer", "acme")
    await _register(acme, name="theirs")
    assert (await registry.http.get("/workflows/w")).status_code == 404
    assert (await registry.http.get("/workflows")).json() == {"workflows": [], "total": 0}
    assert (await _register(registry.http, name="ours"))["revision"] == 1
    assert (await acme.get("/workflows/w")).json()["name"] == "theirs"


@pytest.mark.parametrize("role", ["reviewer", "viewer"])
async def test_who_may_not_write_can_only_read(registry, role):
    reader = await registry.client_of(role)
    assert (await reader.post("/workflows", json={"ir": ir(STOP)})).status_code == 403
    await _register(registry.http)
    assert (await reader.get("/workflows/w")).status_code == 200


async def test_registering_is_in_the_audit_log(registry, registry_pool):
    for name in ("one", "one", "two"):
        await _register(registry.http, name=name)
    async with registry_pool.connection() as conn:
        rows = await conn.execute(
            "SELECT subject, detail FROM audit_entries WHERE event_type = 'workflow_registered' ORDER BY sequence"
        )
        entries = [
            (row["subject"], row["detail"]["revision"], row["detail"]["created"]) for row in await rows.fetchall()
        ]
    assert entries == [("workflow:w", 1, True), ("workflow:w", 1, False), ("workflow:w", 2, True)]


async def test_ids_may_have_blanks_inside(registry):
    await _register(registry.http, workflow_id="order desk")
    assert (await registry.http.get("/workflows/order%20desk")).json()["workflow_id"] == "order desk"


@pytest.mark.parametrize(
    "path", ["/workflows/%00", "/workflows/w?version=%00", "/workflows/w?revision=0", "/workflows?x=1"]
)
async def test_odd_requests_are_refused(registry, path):
    assert (await registry.http.get(path)).status_code in (400, 404)
