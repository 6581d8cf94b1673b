"""What a caller sends in data, metadata and files arrives as it was sent, and what the agent sends leaves so."""

import base64
import json
from typing import Any

import pytest

from agent_runtime.a2a_server import convert
from agent_runtime.a2a_server.exact import MARK
from agent_runtime.graph.outputs import Text
from groundwork.postgres.pool import Pool
from tests.agent_runtime.a2a_server.serving import Json, Served, headers, serving, text_message

pytestmark = pytest.mark.asyncio(loop_scope="module")

# One key only: a protobuf object does not keep their order.
NUMBERS = (
    '{"n":[-9007199254740993,1000000000000000000000000000001,12,12.0,-0.0,1e+300,0.1,true,'
    '[2.5,{"deep":18446744073709551617}],"12"]}'
)


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


async def post(agent: Served, path: str, body: str, version: str = "1.0") -> str:
    given = headers(version=version) | {"Content-Type": "application/json"}
    answer = await agent.http.post(path, content=body.encode(), headers=given)
    assert answer.status_code == 200, answer.text
    return compact(json.loads(answer.text))


def call(method: str, message: Json, **fields: Any) -> str:
    """The body of a call; what stands for the numbers is put in as it is, not as Python would write it."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message, **fields}}
    return json.dumps(body).replace('"NUMBERS"', NUMBERS)


async def test_numbers_reach_the_graph_as_they_were_sent_and_leave_as_the_graph_has_them(agent: Served) -> None:
    message = text_message("", parts=[{"data": "NUMBERS", "metadata": "NUMBERS"}], metadata="NUMBERS")
    answers = {"rpc": await post(agent, "/", call("SendMessage", message))}
    known = agent.script.requests[-1].message.additional_kwargs["a2a"]
    assert compact(known["data"][0]) == compact(known["metadata"]) == compact(known["part_metadata"][0]) == NUMBERS
    rest = json.dumps({"message": message | {"messageId": "m"}}).replace('"NUMBERS"', NUMBERS)
    answers["rest"] = await post(agent, "/a2a/message:send", rest)
    old = {"messageId": "m", "role": "user", "kind": "message", "parts": [{"kind": "data", "data": "NUMBERS"}]}
    answers["0.3"] = await post(agent, "/", call("message/send", old), version="0.3")
    # In the history and in the artifact, and in the metadata where that was sent.
    assert {name: answer.count(NUMBERS) for name, answer in answers.items()} == {"rpc": 4, "rest": 4, "0.3": 2}


async def test_numbers_stream_and_are_stored_and_pushed_as_they_are(pool: Pool) -> None:
    async with serving(pool) as agent:
        message = text_message("", parts=[{"data": "NUMBERS"}])
        body = call("SendStreamingMessage", message)
        given = headers() | {"Content-Type": "application/json"}
        streamed = await agent.http.post("/", content=body.encode(), headers=given)
        events = [json.loads(line[5:])["result"] for line in streamed.text.splitlines() if line[:5] == "data:"]
        assert compact(events[1]["artifactUpdate"]["artifact"]["parts"][0]["data"]) == NUMBERS
        task_id = events[0]["task"]["id"]
    async with serving(pool) as agent:
        task = (await agent.task(task_id))["result"]
        assert compact(task["artifacts"][0]["parts"][0]["data"]) == NUMBERS


async def test_nobody_can_write_a_number_where_a_text_belongs(agent: Served) -> None:
    answer = await agent.send(f"{MARK}5")
    assert answer["error"]["code"] == -32700
    assert convert.outgoing_part(Text(f"{MARK}5")).text == "\ufffd5"


CONTENT = b"\xfb\xff\xfe a file"
STANDARD = base64.b64encode(CONTENT).decode()
VARIANTS = {
    "standard": STANDARD,
    "url-safe": base64.urlsafe_b64encode(CONTENT).decode(),
    "unpadded": STANDARD.rstrip("="),
    "in lines": "\r\n".join(STANDARD[at : at + 4] for at in range(0, len(STANDARD), 4)) + "\n",
    "a data URL": f"data:image/png;charset=x;base64,{STANDARD}",
    "a url-safe data URL": f"data:;base64,{base64.urlsafe_b64encode(CONTENT).decode().rstrip('=')}",
}


def bytes_of(agent: Served) -> bytes:
    block = agent.script.requests[-1].message.content[0]
    assert isinstance(block, dict)
    return base64.b64decode(block["base64"])


async def test_every_variant_of_base64_is_the_same_file(agent: Served) -> None:
    for name, encoded in VARIANTS.items():
        answer = await agent.send("", parts=[{"raw": encoded}])
        assert bytes_of(agent) == CONTENT, name
        assert answer["task"]["history"][0]["parts"][0]["raw"] == STANDARD, name
        part = {"kind": "file", "file": {"bytes": encoded}}
        message = {"messageId": "m", "role": "user", "parts": [part]}
        assert "result" in await agent.rpc("message/send", {"message": message}, version="0.3"), name
        assert bytes_of(agent) == CONTENT, name


async def test_what_is_not_base64_is_refused_by_name(agent: Served) -> None:
    for encoded in ("@@@@", "YWJj!", "YWJjZ", "====", "YW=Jj", "data:text/plain,abc", "data:text/plain;base64,@"):
        new = await agent.send("", parts=[{"text": "x"}, {"raw": encoded}])
        part = {"kind": "file", "file": {"bytes": encoded}}
        message = {"messageId": "m", "role": "user", "parts": [part]}
        old = await agent.rpc("message/send", {"message": message}, version="0.3")
        assert (new["error"]["code"], old["error"]["code"]) == (-32602, -32602), encoded
        assert (new["id"], "message.parts[1].raw" in new["error"]["message"]) == ("1", True), encoded
        assert "message.parts[0].file.bytes" in old["error"]["message"], encoded
        rest = await agent.http.post(
            "/a2a/message:send", json={"message": text_message("", parts=[{"raw": encoded}])}, headers=headers()
        )
        assert (rest.status_code, rest.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), encoded
