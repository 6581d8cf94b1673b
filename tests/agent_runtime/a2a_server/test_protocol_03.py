"""Protocol 0.3 as its clients and the kit expect it, method by method."""

from typing import Any

import pytest

from tests.agent_runtime.a2a_server.serving import Json, Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = {"kind": "text", "text": "hello"}


def message(**fields: Any) -> Json:
    return {"message": {"messageId": "m", "role": "user", "parts": [TEXT], **fields}}


def part(**fields: Any) -> Json:
    return message(parts=[TEXT, fields])


WRONG: list[tuple[str, Any, str]] = [
    ("message/send", {}, "params.message is missing"),
    ("message/send", {"message": {}}, "params.message.messageId is missing; params.message.parts is missing"),
    ("message/send", message(parts="x"), "params.message.parts must be an array"),
    ("message/send", message(role="robot"), 'params.message.role must be "agent" or "user"'),
    ("message/send", part(kind="text"), "params.message.parts[1].text is missing"),
    ("message/send", part(kind="text", text=5), "params.message.parts[1].text must be a string"),
    ("message/send", part(kind="data", data="x"), "params.message.parts[1].data must be an object"),
    ("message/send", part(kind="dance"), 'params.message.parts[1].kind must be "text", "file" or "data"'),
    ("message/send", part(kind="data", data={}, metadata={"data_part_compat": True}), "params.message"),
    ("message/stream", {"message": {"parts": []}}, "params.message.messageId is missing"),
    ("tasks/get", {}, "params.id is missing"),
    ("tasks/get", {"id": 5}, "params.id must be a string"),
    ("tasks/get", {"id": "x", "historyLength": "many"}, "params.historyLength must be an integer"),
    ("tasks/cancel", {}, "params.id is missing"),
    ("tasks/resubscribe", {}, "params.id is missing"),
    ("tasks/pushNotificationConfig/set", {"taskId": "x"}, "params.pushNotificationConfig is missing"),
    ("tasks/pushNotificationConfig/get", {}, "params.id is missing"),
    ("tasks/pushNotificationConfig/list", {}, "params.id is missing"),
    ("tasks/pushNotificationConfig/delete", {"id": "x"}, "params.pushNotificationConfigId is missing"),
]


async def test_wrong_parameters_are_told_by_their_names(agent: Served) -> None:
    for method, params, expected in WRONG:
        error = (await agent.rpc(method, params, version="0.3"))["error"]
        assert (error["code"], error["message"][: len(expected)]) == (-32602, expected), (method, params)


async def test_a_push_config_is_set_read_without_its_id_and_deleted_with_null(agent: Served) -> None:
    task = (await agent.rpc("message/send", message(), version="0.3"))["result"]
    config = {"url": "http://127.0.0.1:9/hook"}
    given = {"taskId": task["id"], "pushNotificationConfig": config}
    made = (await agent.rpc("tasks/pushNotificationConfig/set", given, version="0.3"))["result"]
    got = await agent.rpc("tasks/pushNotificationConfig/get", {"id": task["id"]}, version="0.3")
    assert got["result"] == made
    named = {"id": task["id"], "pushNotificationConfigId": made["pushNotificationConfig"]["id"]}
    deleted = await agent.rpc("tasks/pushNotificationConfig/delete", named, version="0.3")
    assert deleted == {"jsonrpc": "2.0", "id": "1", "result": None}
    gone = await agent.rpc("tasks/pushNotificationConfig/get", {"id": task["id"]}, version="0.3")
    assert gone["error"]["code"] == -32001
