"""Components: what is put, in which version it is there, and who may be wrong about that."""

import asyncio
import hashlib
import json
from typing import Any

import pytest

from registry.components.contents import MAX_BYTES
from tests.registry.components.samples import MCP, MODEL, PROMPT, put, reference, resolve, write


async def test_a_component_is_there_as_it_was_put(registry):
    for name, content in (("prompt/greeting", PROMPT), ("model/fast", MODEL), ("mcp/tools", MCP)):
        made = await put(registry.http, name, content)
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        found = await registry.http.get(f"/components/{name}")
        assert found.headers["etag"] == '"1"'
        assert made.json() == found.json() | {"changed": True}
        assert found.json()["content"] == content


async def test_the_digest_is_that_of_the_content_in_canonical_json(registry):
    content = {"model": "openai:gpt", "é": [1e16, -0.0, 10**40], "a": {"z": None, "b": 1.0}}
    written = await write(registry.http, "model/fast", content)
    text = json.dumps(written["content"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert written["digest"] == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    again = await write(registry.http, "model/fast", dict(reversed(content.items())))
    assert (again["version"], again["changed"]) == (1, False)


async def test_each_change_is_a_version_and_the_same_again_is_none(registry):
    written = [await put(registry.http, "prompt/greeting", {"template": text}) for text in "aabba"]
    assert [(each.status_code, each.json()["version"], each.json()["changed"]) for each in written] == [
        (201, 1, True),
        (200, 1, False),
        (200, 2, True),
        (200, 2, False),
        (200, 3, True),
    ]
    second = (await registry.http.get("/components/prompt/greeting?version=2")).json()
    assert (second["version"], second["content"]) == (2, {"template": "b"})


async def test_a_version_that_has_been_overtaken_is_not_written_over(registry):
    await write(registry.http, "prompt/greeting", PROMPT)
    for header in ('"1"', "2", "*", '"2"'):
        answer = await put(registry.http, "prompt/greeting", {"template": header}, if_match=header)
        expected = {'"1"': (200, 2), "2": (200, 3), "*": (200, 4), '"2"': (409, None)}[header]
        assert (answer.status_code, answer.json().get("version")) == expected
    assert answer.json() == {"error": "conflict: prompt greeting is at version 4, and not at 2"}


async def test_what_is_not_there_matches_nothing_and_what_is_there_is_not_made_again(registry):
    for header in ("1", "*"):
        assert (await put(registry.http, "prompt/greeting", PROMPT, if_match=header)).status_code == 409
    made = [await put(registry.http, "prompt/greeting", PROMPT, if_none_match="*") for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 409]
    assert "at version 1" in made[1].json()["error"]


async def test_a_header_that_cannot_be_read_is_refused(registry):
    for headers in ({"if_match": "x"}, {"if_match": '"1", "2"'}, {"if_match": 'W/"1"'}, {"if_none_match": "1"}):
        answer = await put(registry.http, "prompt/greeting", PROMPT, **headers)
        assert answer.status_code == 400, headers
        assert "If-" in answer.json()["error"]
    assert (await registry.http.get("/components/prompt/greeting")).status_code == 404


async def test_of_those_who_write_at_once_one_wins_and_no_number_is_left_out(registry):
    first = [put(registry.http, "prompt/greeting", {"template": str(n)}, if_none_match="*") for n in range(10)]
    statuses = [answer.status_code for answer in await asyncio.gather(*first)]
    assert sorted(statuses) == [201] + 9 * [409]
    then = [put(registry.http, "prompt/greeting", {"template": f"then {n}"}) for n in range(10)]
    versions = [answer.json()["version"] for answer in await asyncio.gather(*then)]
    assert sorted(versions) == list(range(2, 12))


async def test_versions_have_no_gap_when_some_put_and_others_delete(registry):
    calls = [
        call
        for number in range(10)
        for call in (
            put(registry.http, "prompt/greeting", {"template": str(number)}),
            registry.http.delete("/components/prompt/greeting"),
        )
    ]
    assert {answer.status_code for answer in await asyncio.gather(*calls)} <= {200, 201, 404}
    versions = (await registry.http.get("/components/prompt/greeting/versions")).json()["versions"]
    assert [each["version"] for each in versions] == list(range(10, 0, -1))


async def test_a_deleted_component_is_gone_but_for_its_history_and_counts_on(registry):
    await write(registry.http, "prompt/greeting", PROMPT)
    gone = await registry.http.delete("/components/prompt/greeting", headers={"If-Match": '"1"'})
    assert gone.json() == {"kind": "prompt", "id": "greeting", "version": 1, "deleted": True}
    assert (await registry.http.get("/components/prompt/greeting")).status_code == 404
    assert (await registry.http.delete("/components/prompt/greeting")).status_code == 404
    assert (await registry.http.get("/components")).json()["components"] == []
    again = await put(registry.http, "prompt/greeting", PROMPT)
    assert (again.status_code, again.json()["version"]) == (201, 2)
    versions = (await registry.http.get("/components/prompt/greeting/versions")).json()["versions"]
    assert [(each["version"], each.get("deleted", False)) for each in versions] == [(2, False), (1, True)]


async def test_an_earlier_version_is_gone_back_to_in_a_new_one(registry):
    first, _ = [await write(registry.http, "prompt/greeting", {"template": text}) for text in "ab"]
    path = "/components/prompt/greeting/rollback"
    back = await registry.http.post(path, json={"version": 1}, headers={"If-Match": "2"})
    assert (back.status_code, back.json()["version"], back.json()["digest"]) == (200, 3, first["digest"])
    assert (await registry.http.post(path, json={"version": 3})).json()["changed"] is False
    assert (await registry.http.post(path, json={"version": 9})).status_code == 404
    assert (await registry.http.post(path, json={"version": 1}, headers={"If-Match": "2"})).status_code == 409
    newest, *_ = (await registry.http.get("/components/prompt/greeting/versions?limit=1")).json()["versions"]
    assert (newest["version"], newest["rolled_back_to"]) == (3, 1)


async def test_what_was_deleted_can_be_gone_back_to(registry):
    await write(registry.http, "prompt/greeting", PROMPT)
    await registry.http.delete("/components/prompt/greeting")
    back = await registry.http.post("/components/prompt/greeting/rollback", json={"version": 1})
    assert (back.status_code, back.json()["version"], back.json()["content"]) == (201, 2, PROMPT)


async def test_lists_are_read_page_by_page(registry):
    names = [f"{kind}/{number}" for kind in ("mcp", "model", "prompt") for number in (1, 2)]
    contents: dict[str, dict[str, Any]] = {"mcp": MCP, "model": MODEL, "prompt": PROMPT}
    for name in reversed(names):
        await write(registry.http, name, contents[name.partition("/")[0]])
    assert await _pages(registry.http, "/components?limit=4", "components") == names
    assert await _pages(registry.http, "/components?limit=1&kind=model", "components") == ["model/1", "model/2"]
    assert (await registry.http.get("/components?cursor=nonsense!")).status_code == 400


async def test_versions_are_read_page_by_page(registry):
    for number in range(1, 6):
        await write(registry.http, "prompt/greeting", {"template": str(number)})
    path, seen = "/components/prompt/greeting/versions?limit=2", []
    page = (await registry.http.get(path)).json()
    while page["next_cursor"]:
        seen += [each["version"] for each in page["versions"]]
        page = (await registry.http.get(f"{path}&cursor={page['next_cursor']}")).json()
    assert seen + [each["version"] for each in page["versions"]] == [5, 4, 3, 2, 1]


async def test_agents_are_components_that_only_registering_changes(registry):
    for answer in (
        await put(registry.http, "agent/peer", {"url": "http://peer.test"}),
        await registry.http.delete("/components/agent/peer"),
        await registry.http.post("/components/agent/peer/rollback", json={"version": 1}),
    ):
        assert (answer.status_code, "POST /agents" in answer.json()["error"]) == (400, True)


async def test_an_unknown_kind_is_told_which_there_are(registry):
    for answer in (await put(registry.http, "tool/x", {}), await registry.http.get("/components/tool/x/status")):
        assert answer.status_code == 404
        assert "model, prompt, mcp, agent" in answer.json()["error"]


async def test_a_change_is_in_the_audit_log_with_its_version_and_digest(registry):
    digest = (await write(registry.http, "prompt/greeting", PROMPT))["digest"]
    await registry.http.post("/components/prompt/greeting/rollback", json={"version": 1})
    await registry.http.delete("/components/prompt/greeting")
    entries = (await registry.http.get("/audit?limit=3")).json()["items"]
    assert [(entry["event_type"], entry["subject"]) for entry in reversed(entries)] == [
        ("component_put", "component:prompt/greeting"),
        ("component_rolled_back", "component:prompt/greeting"),
        ("component_deleted", "component:prompt/greeting"),
    ]
    assert {(entry["raw_event"]["version"], entry["raw_event"]["digest"]) for entry in entries} == {(1, digest)}


async def test_what_is_hostile_is_refused_or_kept_as_it_is(registry):
    deep: Any = "x"
    for _ in range(70):
        deep = [deep]
    for content, status in (
        ({"template": "NUL \x00"}, 400),
        ({"template": "\ud800"}, 400),
        ({"template": "x" * MAX_BYTES}, 413),
        ({"template": "{{#a}}" * 30 + "{{/a}}" * 30}, 400),
        ({"template": "{{!}}" * 20_000}, 400),
    ):
        answer = await registry.http.put("/components/prompt/x", content=json.dumps(content))
        assert answer.status_code == status, str(content)[:50]
    for text in (
        json.dumps({"model": "a:b", "x": deep}),
        '{"model": "a:b", "x": NaN}',
        '{"model": "a:b", "x": 1e999}',
    ):
        assert (await registry.http.put("/components/model/x", content=text)).status_code == 400
    for component_id in ("%00", "a%20b", "a%2fb", "x" * 300):
        assert (await registry.http.put(f"/components/prompt/{component_id}", json=PROMPT)).status_code in (
            400,
            404,
        )


@pytest.mark.parametrize("name", ["prompt/greeting", "agent/peer"])
async def test_what_is_another_tenants_is_not_there(registry, name):
    await write(registry.http, "prompt/greeting", PROMPT)
    await registry.http.post("/agents", json={"id": "peer", "uri": "http://peer.test", "name": "Peer"})
    acme = await registry.client_of("developer", "acme")
    ours, theirs = [await resolve(http, reference(name)) for http in (registry.http, acme)]
    assert [each["components"][0]["found"] for each in (ours, theirs)] == [True, False]
    for path in ("", "/versions", "/status"):
        ours, theirs = [await http.get(f"/components/{name}{path}") for http in (registry.http, acme)]
        assert (ours.status_code, theirs.status_code) == (200, 404), path


async def _pages(http, path, key):
    """What is on all pages together, and how many of them there are."""
    seen, cursor = [], ""
    while cursor is not None:
        page = (await http.get(f"{path}{cursor and '&cursor='}{cursor}")).json()
        seen += [f"{each['kind']}/{each['id']}" for each in page[key]]
        cursor = page["next_cursor"]
    return seen
