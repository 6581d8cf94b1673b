import base64
import json

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.messages.base import message_to_dict

from agent_runtime.graph.incoming import human_message
from agent_runtime.graph.outputs import Data, File, Part, Text


def message_of(*parts: Part) -> HumanMessage:
    return human_message(parts, message_id="m1", context_id="c1", task_id="t1", caller="ada")


def test_text_parts_become_plain_text():
    assert message_of(Text("one"), Text("two")).content == "one\ntwo"


def test_data_becomes_a_text_block_and_stays_at_hand_as_it_was():
    message = message_of(Text("see"), Data({"città": 1}))
    assert message.content == [{"type": "text", "text": "see"}, {"type": "text", "text": '{"città": 1}'}]
    assert message.additional_kwargs["a2a"]["data"] == [{"città": 1}]


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("image/png", "image"), ("audio/mpeg", "audio"), ("video/mp4", "video"),
        ("application/pdf", "file"), ("text/csv", "file"), ("", "file"),
    ],
)  # fmt: skip
def test_files_become_the_blocks_that_langchain_knows(media_type: str, kind: str):
    message = message_of(
        File("a.bin", media_type, content=b"\x00\xff"), File(media_type=media_type, url="https://e.com/a")
    )
    encoded = base64.b64encode(b"\x00\xff").decode()
    assert message.content == [
        {"type": kind, "mime_type": media_type, "base64": encoded, "extras": {"filename": "a.bin"}},
        {"type": kind, "mime_type": media_type, "url": "https://e.com/a"},
    ]
    assert [block["type"] for block in message.content_blocks] == [kind, kind]


def test_the_message_knows_where_it_came_from_but_not_by_its_own_id():
    message = message_of(Text("hi"))
    assert message.id is None
    assert message.additional_kwargs["a2a"] == {
        "message_id": "m1", "context_id": "c1", "task_id": "t1", "caller": "ada", "data": [],
        "metadata": {}, "part_metadata": [],
    }  # fmt: skip


def test_it_can_be_kept_in_the_row_of_its_turn():
    message = message_of(Text("a"), Data([1, {"b": None}]), File(content=b"x"))
    assert json.loads(json.dumps(message_to_dict(message)))


def test_a_message_without_parts_is_refused():
    with pytest.raises(ValueError, match="at least one part"):
        message_of()
