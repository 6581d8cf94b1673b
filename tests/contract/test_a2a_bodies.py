"""Whatever is sent to the A2A routes, the answer is one of the protocol's, and says nothing of our insides."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.agents import SCRIPTED, text_message
from tests.contract.background import BackgroundAgent, background_agent, some

Json = Any

INTERNAL_ERROR = -32603

# What only code of ours, of Python or of the database would say.
INSIDES = ("Traceback", 'File "', "psycopg", "SELECT ", "INSERT ", "agent_threads", "a2a_tasks", "site-packages")

TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
"""With NUL, control characters and halves of surrogate pairs."""

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**40, 10**400]),
    st.floats(),
    TEXT,
    st.sampled_from(["", "\x00", "\ud800", "x" * 300, "TASK_STATE_WORKING", "2026-01-01T00:00:00Z", "-1"]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@pytest.fixture
def agent(tmp_path: Path, database_url: str) -> Iterator[BackgroundAgent]:
    with background_agent(tmp_path, database_url, SCRIPTED) as agent:
        yield agent


@pytest.fixture
def task_ids(agent: BackgroundAgent) -> list[str]:
    """A task that is done, and one that waits for an answer."""
    sent = [agent.wait_for(agent.agent.send, text) for text in ("say hello", "ask why?")]
    return [answer["task"]["id"] for answer in sent]


@pytest.fixture
def client(agent: BackgroundAgent) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=agent.url, timeout=20) as client:
        yield client


def test_every_body_gets_an_answer_of_json_rpc(
    client: httpx.Client, task_ids: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    @given(rpc_calls(task_ids).flatmap(mangled), st.sampled_from(["1.0", "0.3", "", "7", "é"]))
    @some(300)
    def check(body: bytes, version: str) -> None:
        headers = {"Content-Type": "application/json", "A2A-Version": version.encode()}
        status, answer = send(client, "POST", "/", content=body, headers=headers)
        assert status < 500
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) != ("error" in answer)
        if "error" in answer:
            assert isinstance(answer["error"]["code"], int)
            if answer["error"]["code"] == INTERNAL_ERROR: print("INTERNAL", version, body[:600], answer)
            assert answer["error"]["message"]

    check()
    assert crashes(caplog) == []


def test_every_request_gets_an_answer_of_the_rest_binding(
    client: httpx.Client, task_ids: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    @given(rest_calls(task_ids))
    @some(300)
    def check(call: tuple[str, str, dict[str, str], bytes]) -> None:
        method, path, query, body = call
        headers = {"Content-Type": "application/json", "A2A-Version": "1.0"}
        status, answer = send(client, method, path, params=query, content=body, headers=headers)
        assert status < 500
        assert isinstance(answer, dict)
        if status >= 400:
            assert answer["error"]["code"] == status
            assert answer["error"]["status"]
            assert answer["error"]["message"]

    check()
    assert crashes(caplog) == []


def send(client: httpx.Client, method: str, path: str, **request: Any) -> tuple[int, Json]:
    """Status and content of the answer; of a stream, its first event is enough."""
    with client.stream(method, path, **request) as response:
        if response.headers["content-type"].startswith("text/event-stream"):
            text = next(line for line in response.iter_lines() if line.startswith("data:")).removeprefix("data:")
        else:
            text = response.read().decode()
    assert not [word for word in INSIDES if word in text]
    return response.status_code, json.loads(text)


def crashes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def rpc_calls(task_ids: list[str]) -> SearchStrategy[Json]:
    """Calls of every method of both versions, most of them spoilt somewhere."""
    methods = st.sampled_from([*RPC_METHODS, "Dance", ""])
    calls = st.tuples(methods, st.sampled_from(task_ids)).map(lambda call: rpc_call(*call))
    return calls | calls.flatmap(spoilt) | VALUES


def rpc_call(method: str, task_id: str) -> Json:
    params = RPC_METHODS.get(method, {})
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": with_task(params, task_id)}


def rest_calls(task_ids: list[str]) -> SearchStrategy[tuple[str, str, dict[str, str], bytes]]:
    # A slash is no part of a name in a path, and what is only dots is a direction.
    names = st.sampled_from(task_ids) | TEXT.filter(lambda text: "/" not in text and text.strip("."))
    queries = st.dictionaries(st.sampled_from(QUERY_NAMES) | st.text(max_size=5), st.text(max_size=20), max_size=3)

    @st.composite
    def calls(draw: DrawFn) -> tuple[str, str, dict[str, str], bytes]:
        method, template, content = draw(st.sampled_from(REST_ROUTES))
        path = template.format(id=in_path(draw(names)), config=in_path(draw(names)))
        if method != "POST":
            return method, path, draw(queries), b""
        body = with_task(content, draw(st.sampled_from(task_ids)))
        return method, path, draw(queries), draw(mangled(draw(st.just(body) | spoilt(body))))

    return calls()


def in_path(name: str) -> str:
    return quote(name, safe="", errors="surrogatepass")


@st.composite
def spoilt(draw: DrawFn, value: Json) -> Json:
    """`value` with one thing in it replaced, left out or added, at any depth."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    spoilt_value: Json = dict(value) if isinstance(value, dict) else list(value)
    key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    match draw(st.sampled_from(["inside", "inside", "inside", "left out", "added"])):
        case "inside":
            spoilt_value[key] = draw(spoilt(value[key]))
        case "left out":
            del spoilt_value[key]
        case "added" if isinstance(value, dict):
            spoilt_value[draw(TEXT)] = draw(VALUES)
        case _:
            spoilt_value.append(draw(VALUES))
    return spoilt_value


@st.composite
def mangled(draw: DrawFn, value: Json) -> bytes:
    """`value` as JSON, or as something that was JSON before it was sent."""
    body = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    place = draw(st.integers(0, len(body)))
    match draw(st.sampled_from(["whole"] * 12 + ["cut", "twice", "deep", "bytes", "keys"])):
        case "cut":
            return body[:place]
        case "twice":
            return body + body
        case "deep":
            levels = draw(st.sampled_from([30, 36, 37, 100, 5000]))
            return b'{"params":' * levels + body + b"}" * levels
        case "bytes":
            return body[:place] + draw(st.binary(min_size=1, max_size=4)) + body[place:]
        case "keys":
            return body.replace(b"{", b'{"id": 2, "id": [], "message": {}, "params": 5, ', 1)
        case _:
            return body


def with_task(content: Json, task_id: str) -> Json:
    """The content with the task's id for every `TASK` in it, and a message id that is new."""
    if isinstance(content, dict):
        return {key: with_task(value, task_id) for key, value in content.items()}
    if isinstance(content, list):
        return [with_task(value, task_id) for value in content]
    return task_id if content == "TASK" else content


PUSH = {"id": "push", "url": "http://127.0.0.1:9/", "token": "t", "authentication": {"scheme": "Bearer"}}

MESSAGE = text_message(
    "say hello", contextId="context", metadata={"a": [1]}, extensions=["x"], referenceTaskIds=["TASK"]
)
SENT = {"message": MESSAGE, "configuration": {"historyLength": 2, "acceptedOutputModes": ["text/plain"]}}
SENT_WITH_PARTS = {
    "message": text_message(
        "",
        parts=[
            {"text": "say", "metadata": {}},
            {"data": {"a": [None, 1.5, {"b": "c"}]}, "mediaType": "application/json"},
            {"raw": "AAE=", "filename": "a.bin"},
            {"url": "http://127.0.0.1:9/a", "filename": "b"},
        ],
    ),
    "configuration": {"returnImmediately": True, "taskPushNotificationConfig": PUSH},
}
ANSWERED = {"message": text_message("because", taskId="TASK")}
LISTED = {
    "contextId": "context",
    "status": "TASK_STATE_COMPLETED",
    "pageSize": 2,
    "pageToken": "",
    "historyLength": 1,
    "statusTimestampAfter": "2026-01-01T00:00:00Z",
    "includeArtifacts": True,
}
OLD_MESSAGE = {
    "kind": "message",
    "messageId": "m",
    "role": "user",
    "parts": [{"kind": "text", "text": "say hi"}, {"kind": "data", "data": {"a": 1}}],
}

RPC_METHODS: dict[str, Json] = {
    "SendMessage": SENT,
    "SendStreamingMessage": SENT_WITH_PARTS,
    "GetTask": {"id": "TASK", "historyLength": 1},
    "ListTasks": LISTED,
    "CancelTask": {"id": "TASK", "metadata": {}},
    "SubscribeToTask": {"id": "TASK"},
    "CreateTaskPushNotificationConfig": {"taskId": "TASK", **PUSH},
    "GetTaskPushNotificationConfig": {"taskId": "TASK", "id": "push"},
    "ListTaskPushNotificationConfigs": {"taskId": "TASK", "pageSize": 1, "pageToken": ""},
    "DeleteTaskPushNotificationConfig": {"taskId": "TASK", "id": "push"},
    "GetExtendedAgentCard": {},
    "message/send": {"message": OLD_MESSAGE, "configuration": {"blocking": True, "historyLength": 1}},
    "message/stream": {"message": OLD_MESSAGE | {"taskId": "TASK"}},
    "tasks/get": {"id": "TASK", "historyLength": 1},
    "tasks/cancel": {"id": "TASK"},
    "tasks/resubscribe": {"id": "TASK"},
    "tasks/pushNotificationConfig/set": {"taskId": "TASK", "pushNotificationConfig": {"url": PUSH["url"]}},
    "tasks/pushNotificationConfig/get": {"id": "TASK", "pushNotificationConfigId": "push"},
    "tasks/pushNotificationConfig/list": {"id": "TASK"},
    "tasks/pushNotificationConfig/delete": {"id": "TASK", "pushNotificationConfigId": "push"},
    "agent/getAuthenticatedExtendedCard": {},
}

REST_ROUTES: list[tuple[str, str, Json]] = [
    ("POST", "/a2a/message:send", SENT),
    ("POST", "/a2a/message:send", ANSWERED),
    ("POST", "/a2a/message:stream", SENT_WITH_PARTS),
    ("GET", "/a2a/tasks", None),
    ("GET", "/a2a/tasks/{id}", None),
    ("POST", "/a2a/tasks/{id}:cancel", {"metadata": {}}),
    ("GET", "/a2a/tasks/{id}:subscribe", None),
    ("POST", "/a2a/tasks/{id}:subscribe", {}),
    ("POST", "/a2a/tasks/{id}/pushNotificationConfigs", PUSH),
    ("GET", "/a2a/tasks/{id}/pushNotificationConfigs", None),
    ("GET", "/a2a/tasks/{id}/pushNotificationConfigs/{config}", None),
    ("DELETE", "/a2a/tasks/{id}/pushNotificationConfigs/{config}", None),
    ("GET", "/a2a/extendedAgentCard", None),
]
QUERY_NAMES = [*LISTED, "tenant", "id", "metadata"]
