"""What is on the wire: the card, the bindings, both protocol versions, tokens, and bad input."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers import new_text_message
from a2a.types import GetTaskRequest, Role, SendMessageRequest, TaskState
from a2a.utils.errors import TaskNotFoundError

from groundwork.postgres.pool import Pool
from tests.agent_runtime.a2a_server.serving import Json, Served, headers, serving, state_of, text_message, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CARD_PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json")

JSON = {"A2A-Version": "1.0", "Content-Type": "application/json"}


@pytest_asyncio.fixture(loop_scope="module")
async def guarded(pool: Pool) -> AsyncIterator[Served]:
    async with serving(pool, a2a_tokens="ann=s3cret-é,bob=other", a2a_max_body_bytes=200_000) as served:
        yield served


async def test_both_card_paths_show_one_card_that_old_and_new_clients_can_read(agent: Served) -> None:
    first, second = [(await agent.http.get(path)).json() for path in CARD_PATHS]
    assert first == second
    assert (first["name"], first["version"], first["skills"][0]["id"]) == ("test-agent", "1.2.3", "chat")
    assert first["capabilities"] == {"streaming": True, "pushNotifications": True}
    assert (first["url"], first["preferredTransport"]) == ("http://agent.test", "JSONRPC")
    assert "securitySchemes" not in first


async def test_a_card_says_how_long_it_may_be_kept_and_what_its_skills_take(fresh: Served) -> None:
    for path in CARD_PATHS:
        got, head = await fresh.http.get(path), await fresh.http.head(path)
        assert (head.status_code, head.headers["etag"]) == (200, got.headers["etag"])
        assert got.headers["cache-control"] == "public, max-age=60"
        assert parsedate_to_datetime(got.headers["last-modified"]) <= datetime.now(UTC)
        (skill,) = got.json()["skills"]
        assert (skill["inputModes"], skill["outputModes"]) == (["text/plain"], ["text/plain"])


@pytest.mark.parametrize(
    ("url", "rpc", "rest"),
    [
        ("https://a.test", "https://a.test", "https://a.test/a2a"),
        ("https://a.test/", "https://a.test/", "https://a.test/a2a"),
        ("https://a.test/agents/x", "https://a.test/agents/x/", "https://a.test/agents/x/a2a"),
        ("https://a.test/agents/x/", "https://a.test/agents/x/", "https://a.test/agents/x/a2a"),
        ("https://a.test/x?key=1", "https://a.test/x/?key=1", "https://a.test/x/a2a?key=1"),
    ],
)
async def test_a_changed_url_shows_in_every_interface_at_once(
    fresh: Served, url: str, rpc: str, rest: str
) -> None:
    before = await fresh.http.get(CARD_PATHS[0])
    await fresh.card_url.change(url)
    after = await fresh.http.get(CARD_PATHS[0], headers={"If-None-Match": before.headers["etag"]})
    interfaces = [
        (i["protocolBinding"], i["protocolVersion"], i["url"]) for i in after.json()["supportedInterfaces"]
    ]
    assert interfaces == [("JSONRPC", "1.0", rpc), ("HTTP+JSON", "1.0", rest), ("JSONRPC", "0.3", rpc)]
    again = await fresh.http.get(CARD_PATHS[1], headers={"If-None-Match": after.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_sdks_own_client_gets_along_with_us(fresh: Served, binding: str) -> None:
    await fresh.card_url.change(fresh.url)
    card = await A2ACardResolver(fresh.http, fresh.url).get_agent_card()
    config = ClientConfig(httpx_client=fresh.http, streaming=True, supported_protocol_bindings=[binding])
    client = ClientFactory(config).create(card)
    request = SendMessageRequest(message=new_text_message("chunks 2", role=Role.ROLE_USER))
    events = [event async for event in client.send_message(request)]
    assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
    task = await client.get_task(GetTaskRequest(id=events[0].task.id))
    assert "".join(part.text for part in task.artifacts[0].parts) == "0 1 all"
    with pytest.raises(TaskNotFoundError):
        await client.get_task(GetTaskRequest(id="none"))


async def test_clients_of_protocol_0_3_are_served(agent: Served) -> None:
    async def call(method: str, params: Json) -> Json:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer: Json = (await agent.http.post("/", json=body)).json()
        return answer

    def message(text: str, **fields: Any) -> Json:
        return {"message": {"messageId": "m", "role": "user", "parts": [{"kind": "text", "text": text}], **fields}}

    asked = (await call("message/send", message("ask how many?")))["result"]
    assert (asked["kind"], asked["status"]["state"]) == ("task", "input-required")
    done = (await call("message/send", message("three", taskId=asked["id"])))["result"]
    assert (done["status"]["state"], done["contextId"]) == ("completed", asked["contextId"])
    assert (await call("tasks/get", {"id": asked["id"]}))["result"] == done
    assert (await call("tasks/cancel", {"id": asked["id"]}))["error"]["code"] == -32002
    assert (await call("message/send", message("reply hi")))["result"]["kind"] == "message"
    async with agent.http.stream(
        "POST", "/", json={"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": message("chunks 2")}
    ) as response:
        text = (await response.aread()).decode()
    assert (text.count("artifact-update"), text.count('"final":true')) == (3, 1)


async def test_the_rest_binding_says_the_same_in_its_own_way(fresh: Served) -> None:
    sent = await fresh.http.post("/a2a/message:send", json={"message": text_message("hello")}, headers=headers())
    task = sent.json()["task"]
    assert sent.headers["content-type"] == "application/a2a+json"
    assert text_of(task) == "hello"
    got = await fresh.http.get(f"/a2a/tasks/{task['id']}", headers=headers())
    assert got.json() == task
    page = await fresh.http.get(
        "/a2a/tasks", params={"pageSize": "1", "status": "TASK_STATE_COMPLETED"}, headers=headers()
    )
    assert page.json()["totalSize"] == 1
    for method, path in (
        ("GET", "/a2a/tasks/none"),
        ("POST", "/a2a/tasks/none:cancel"),
        ("GET", "/a2a/tasks/a%00b"),
    ):
        refused = await fresh.http.request(method, path, headers=headers())
        assert (refused.status_code, refused.json()["error"]["status"]) == (404, "NOT_FOUND"), path


async def test_paths_that_are_nobodys_stay_unknown(agent: Served) -> None:
    for path in ("/nothing", "/nothing/tasks", "/a2a", "/a2a/", "/x/message:send"):
        assert (await agent.http.get(path)).status_code == 404, path


async def test_with_tokens_every_call_needs_one_and_the_card_does_not(guarded: Served) -> None:
    for given in ("", "Bearer", "Bearer wrong", "Basic s3cret-é"):
        for path in ("/", "/a2a/message:send"):
            refused = await guarded.http.post(path, json={}, headers={b"Authorization": given.encode()})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")
    bearer = {b"Authorization": "Bearer s3cret-é".encode(), b"A2A-Version": b"1.0"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}
    assert "result" in (await guarded.http.post("/", json=body, headers=bearer)).json()
    card = (await guarded.http.get(CARD_PATHS[0])).json()
    assert card["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"] == "bearer"
    assert card["securityRequirements"] == [{"schemes": {"bearer": {}}}]


BAD_BODIES = {
    "no json": (b"{", -32700),
    "not utf-8": (b'{"jsonrpc": "2.0", "id": "\xff"}', -32700),
    "utf-16": ('{"jsonrpc": "2.0"}'.encode("utf-16"), -32700),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, -32700),
    "deep": (b'{"params":' * 37 + b"1" + b"}" * 37, -32700),
    "half a pair": (b'{"jsonrpc":"2.0","id":"\\ud800","method":"GetTask"}', -32700),
    "infinite": (b'{"jsonrpc":"2.0","id":1e999,"method":"GetTask"}', -32700),
    "not a number": (b'{"jsonrpc":"2.0","id":NaN,"method":"GetTask"}', -32700),
    "long number": (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":' + b"1" * 5000 + b"}}", -32700),
    "empty": (b"", -32700),
    "a batch": (b"[]", -32600),
    "no object": (b"1", -32600),
    "no method": (b'{"jsonrpc":"2.0","id":1}', -32600),
    "unknown method": (b'{"jsonrpc":"2.0","id":1,"method":"Dance","params":{}}', -32601),
    "wrong params": (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":[1]}', -32602),
    "missing params": (b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{}}', -32602),
}


async def test_bodies_that_make_no_sense_get_the_protocols_errors(agent: Served) -> None:
    for name, (body, code) in BAD_BODIES.items():
        response = await agent.http.post("/", content=body, headers=JSON)
        assert (response.status_code, response.json()["error"]["code"]) == (200, code), name
        rest = await agent.http.post("/a2a/message:send", content=body, headers=JSON)
        assert rest.status_code == 400, name
        assert rest.json()["error"]["code"] == 400, name


async def test_only_json_is_read_and_not_too_much_of_it(guarded: Served) -> None:
    bearer = {"Authorization": "Bearer other", "A2A-Version": "1.0"}
    large = b'{"x": "' + b"x" * 200_000 + b'"}'

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 50_000):
            yield large[start : start + 50_000]

    for path in ("/", "/a2a/message:send"):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            refused = await guarded.http.post(path, content=b"{}", headers={**bearer, "Content-Type": kind})
            assert (refused.status_code, "error" in refused.json()) == (415, True)
        for content in (large, in_pieces()):
            given = {**bearer, "Content-Type": "application/json"}
            refused = await guarded.http.post(path, content=content, headers=given)
            assert (refused.status_code, "error" in refused.json()) == (413, True)


def deep(levels: int) -> Json:
    return {} if levels == 0 else {"a": deep(levels - 1)}


BAD_MESSAGES: dict[str, Json] = {
    "no id": {"messageId": ""},
    "control character in its id": {"messageId": "a\nb"},
    "nul in the context": {"contextId": "a\x00b"},
    "too long a context": {"contextId": "c" * 256},
    "no parts": {"parts": []},
    "an empty part": {"parts": [{}]},
    "spoken by the agent": {"role": "ROLE_AGENT"},
}


async def test_messages_that_no_turn_can_begin_with_are_refused(fresh: Served) -> None:
    for name, fields in BAD_MESSAGES.items():
        answer = await fresh.rpc("SendMessage", {"message": text_message("hello") | fields})
        assert answer["error"]["code"] == -32602, name
    unknown = await fresh.rpc("SendMessage", {"message": text_message("hello", taskId="a\x00b")})
    assert unknown["error"]["code"] == -32001
    assert fresh.script.requests == []


async def test_what_is_nested_as_deep_as_allowed_can_be_stored_and_read(agent: Served) -> None:
    answers = []
    for levels in range(28, 40):
        fields: Json = {"parts": [{"data": deep(levels)}], "metadata": deep(levels)}
        answer = await agent.rpc("SendMessage", {"message": text_message("") | fields})
        answers.append("result" in answer)
        if not answers[-1]:
            assert answer["error"]["code"] == -32700
            continue
        task = answer["result"]["task"]
        assert (await agent.task(task["id"]))["result"] == task
    assert (answers[0], answers[-1]) == (True, False)


async def test_what_is_not_offered_is_said_so(agent: Served) -> None:
    assert (await agent.rpc("GetExtendedAgentCard", {}))["error"]["code"] == -32004
    assert (await agent.rpc("GetTask", {"id": "x"}, version="7.0"))["error"]["code"] == -32009


async def test_a_long_context_id_with_any_characters_comes_back(agent: Served) -> None:
    context = "käse/漢字 %2F?#" + "x" * 200
    task = (await agent.send("hello", contextId=context))["task"]
    assert (state_of(task), task["contextId"]) == ("COMPLETED", context)


async def test_the_database_going_away_is_answered_without_details(fresh: Served, pool: Pool) -> None:
    await pool.close()
    for method, params in (("GetTask", {"id": "x"}), ("SendMessage", {"message": text_message("hello")})):
        error = (await fresh.rpc(method, params))["error"]
        assert (error["code"], error["message"]) == (-32603, "the database cannot be used right now")
    refused = await fresh.http.get("/a2a/tasks", headers=headers())
    assert (refused.status_code, refused.json()["error"]["status"]) == (500, "INTERNAL")


async def test_a_crash_is_answered_without_its_text(fresh: Served, pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute("ALTER TABLE a2a_tasks RENAME TO hidden_tasks")
    error = (await fresh.rpc("GetTask", {"id": "x"}))["error"]
    assert (error["code"], error["message"]) == (-32603, "Internal error")
    async with httpx.AsyncClient(base_url=fresh.url) as http:
        streamed = await http.post("/a2a/message:stream", json={"message": text_message("x")}, headers=headers())
    assert "hidden" not in streamed.text
    assert streamed.status_code == 500


@pytest.mark.parametrize(
    ("header", "value"),
    [("Host", "evil.example"), ("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")],
)
async def test_without_tokens_no_page_of_another_site_reaches_conversations(agent: Served, header, value) -> None:
    for method, path in (("GET", "/a2a/tasks"), ("POST", "/"), ("POST", "/a2a/message:send")):
        answer = await agent.http.request(method, path, headers={**headers(), header: value})
        assert (answer.status_code, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


async def test_the_cards_host_and_those_of_the_setting_are_the_agents_own(pool: Pool) -> None:
    async with serving(pool, a2a_allowed_hosts="also.test:80") as agent:
        for host, status in (("agent.test", 200), ("also.test:80", 200), ("also.test:81", 403)):
            answer = await agent.http.get("/a2a/tasks", headers={**headers(), "Host": host})
            assert answer.status_code == status
