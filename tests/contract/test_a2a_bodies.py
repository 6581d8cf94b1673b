"""Whatever is sent to the A2A routes, the answer is one of the protocol's, and says nothing of our insides."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.agents import SCRIPTED, text_message
from tests.contract.background import BackgroundAgent, background_agent, some

Json = Any

Known = dict[str, str]
"""Names that stand in the calls below, and what they stand for."""

EXAMPLES = 120

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
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


# The agent's own threads may use it while hypothesis looks.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")


@pytest.fixture
def agent(tmp_path: Path, database_url: str) -> Iterator[BackgroundAgent]:
    with background_agent(tmp_path, database_url, SCRIPTED) as agent:
        yield agent


@pytest.fixture
def known(agent: BackgroundAgent) -> list[Known]:
    """What a call can name that is there: a task that is done, or one that waits for an answer."""
    sent = [agent.wait_for(agent.agent.send, text) for text in ("say hello", "ask why?")]
    # A receiver of notifications that refuses them all, once.
    return [{"TASK": answer["task"]["id"], "RECEIVER": f"{agent.url}/nowhere"} for answer in sent]


@pytest.fixture
def client(agent: BackgroundAgent) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=agent.url, timeout=20) as client:
        yield client


def test_every_body_gets_an_answer_of_json_rpc(
    client: httpx.Client, known: list[Known], caplog: pytest.LogCaptureFixture
) -> None:
    @given(rpc_calls(known))
    @some(EXAMPLES)
    def check(call: tuple[bytes, str]) -> None:
        body, version = call
        note(f"{body!r} as {version!r}")
        headers = {"Content-Type": "application/json", "A2A-Version": version.encode()}
        status, answer = send(client, "POST", "/", content=body, headers=headers)
        assert status < 500
        assert answer["jsonrpc"] == "2.0"
        # The SDK leaves the empty result of this one method away.
        assert "error" in answer or "result" in answer or b"tasks/pushNotificationConfig/delete" in body
        if "error" in answer:
            assert "result" not in answer
            assert isinstance(answer["error"]["code"], int)
            assert answer["error"]["message"]
            # What the SDK says to a method of 0.3 under another version: 0.3 has no code for it.
            is_of_0_3 = "Expected version '0.3'" in answer["error"]["message"]
            assert is_of_0_3 or answer["error"]["code"] != INTERNAL_ERROR

    check()
    assert crashes(caplog) == []


def test_every_request_gets_an_answer_of_the_rest_binding(
    client: httpx.Client, known: list[Known], caplog: pytest.LogCaptureFixture
) -> None:
    @given(rest_calls(known))
    @some(EXAMPLES)
    def check(call: tuple[str, str, dict[str, str], bytes]) -> None:
        method, path, query, body = call
        note(f"{method} {path} {query} {body!r}")
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
    """What was logged as an error. The SDK logs its refusals as errors, too; those are the caller's."""
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    return [record.getMessage() for record in errors if not record.name.startswith("a2a.")]


@st.composite
def rpc_calls(draw: DrawFn, known: list[Known]) -> tuple[bytes, str]:
    """A body, and the version of the protocol that comes with it: right, or wrong in one way or another."""
    method = draw(st.sampled_from([*RPC_METHODS, "Dance"]))
    params = filled_in(RPC_METHODS.get(method, {}), draw(st.sampled_from(known)))
    call: Json = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    match draw(st.sampled_from(["right", "right", "params", "params", "params", "params", "call", "anything"])):
        case "params":
            call["params"] = draw(spoilt(params))
        case "call":
            call = draw(spoilt(call))
        case "anything":
            call = draw(VALUES)
    its_own = "0.3" if "/" in method else "1.0"
    return draw(mangled(call)), draw(st.sampled_from([its_own] * 8 + ["1.0", "", "7", "é"]))


@st.composite
def rest_calls(draw: DrawFn, known: list[Known]) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, query and body, right or wrong."""
    names = draw(st.sampled_from(known))
    method, template, content = draw(st.sampled_from(REST_ROUTES))
    path = template.format(id=draw(in_path(names["TASK"])), config=draw(in_path("push")))
    if method != "POST":
        return method, path, draw(QUERIES), b""
    body = filled_in(content, names)
    return method, path, draw(QUERIES), draw(mangled(draw(st.just(body) | spoilt(body))))


def in_path(name: str) -> SearchStrategy[str]:
    """The name, mostly, or another one. A slash is no part of a name, and what is only dots is a direction."""
    others = TEXT.filter(lambda text: "/" not in text and text.strip("."))
    names = st.sampled_from([name] * 4 + [""]).flatmap(lambda given: st.just(given) if given else others)
    return names.map(lambda name: quote(name, safe="", errors="surrogatepass"))


@st.composite
def spoilt(draw: DrawFn, value: Json) -> Json:
    """`value` with one thing in it replaced, left out or added, at any depth."""
    if not isinstance(value, dict | list):
        return draw(VALUES)
    if not value:
        return draw(st.dictionaries(TEXT, VALUES, min_size=1, max_size=2) | VALUES)
    spoilt_value: Json = dict(value) if isinstance(value, dict) else list(value)
    key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    match draw(st.sampled_from(["inside", "inside", "inside", "replaced", "left out", "added"])):
        case "inside":
            spoilt_value[key] = draw(spoilt(value[key]))
        case "replaced":
            spoilt_value[key] = draw(VALUES)
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


def filled_in(content: Json, known: Known) -> Json:
    """The content with what the names in it stand for."""
    if isinstance(content, dict):
        return {key: filled_in(value, known) for key, value in content.items()}
    if isinstance(content, list):
        return [filled_in(value, known) for value in content]
    return known.get(content, content) if isinstance(content, str) else content


PUSH = {"id": "push", "url": "RECEIVER", "token": "t", "authentication": {"scheme": "Bearer"}}

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
            {"url": "http://127.0.0.1/a", "filename": "b"},
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
    "tasks/pushNotificationConfig/set": {"taskId": "TASK", "pushNotificationConfig": {"url": "RECEIVER"}},
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
QUERIES = st.dictionaries(
    st.sampled_from([*LISTED, "tenant", "id"]) | st.text(max_size=5),
    st.sampled_from(["1", "0", "-1", "true", "TASK_STATE_COMPLETED", "2026-01-01T00:00:00Z"])
    | st.text(max_size=20),
    max_size=2,
)
