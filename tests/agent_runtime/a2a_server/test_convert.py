"""Between the agent's words and A2A's: nothing a graph puts out can break the task it is put into."""

import json
from datetime import UTC, datetime
from typing import Any

from a2a.types import StreamResponse, Task, TaskArtifactUpdateEvent
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.a2a_server import convert
from agent_runtime.a2a_server.tasks import fold
from agent_runtime.graph.outputs import Artifact, Data, File, Part, Text

NOW = datetime.now(UTC)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner),
    max_leaves=20,
)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@given(ANYTHING)
def test_any_value_can_be_put_into_a_task_stored_and_shown(value: Any) -> None:
    task = Task(id="t", context_id="c")
    artifact = Artifact("a", "name", (Data(value),), metadata={"m": value})
    for event in convert.output_events(task, [artifact], NOW):
        fold(task, event)
    stored = StreamResponse(task=task).SerializeToString()
    json.dumps(MessageToDict(StreamResponse.FromString(stored)), ensure_ascii=False).encode()


def test_a_value_that_is_too_deep_becomes_its_text_at_the_end() -> None:
    for levels in (20, 40, 500):
        part = convert.outgoing_part(Data(nested(levels)))
        StreamResponse.FromString(
            StreamResponse(
                task=Task(history=[convert.agent_message([Data(nested(levels))], context_id="c")])
            ).SerializeToString()
        )
        assert MessageToDict(part)["data"]


def test_numbers_come_in_as_they_were_written() -> None:
    message = convert.agent_message([Data({"n": 3, "x": 1.5, "big": 2**60})], context_id="c")
    (part,) = convert.incoming_parts(message)
    assert part == Data({"n": 3, "x": 1.5, "big": 2**60})
    assert isinstance(part.value["n"], int)


def test_files_come_in_as_they_went_out() -> None:
    parts: list[Part] = [
        File("a", "image/png", content=b"\x00\xff"),
        File("b", "text/plain", url="https://x.test"),
        Text("\x00é"),
    ]
    assert convert.incoming_parts(convert.agent_message(parts, context_id="c")) == parts


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    assert convert.outgoing_part(Text("a\ud800b")).text == "a?b"


def test_an_integer_that_no_reader_expects_becomes_text() -> None:
    part = convert.outgoing_part(Data([10**5000]))
    assert MessageToDict(part)["data"] == ["an integer of 16610 bits"]


def test_chunks_of_files_and_texts_are_closed_by_the_whole_artifact() -> None:
    task = Task(id="t", context_id="c")
    file = File("a.bin", content=b"1")
    chunks = [
        Artifact("a", "a", (Text("one, "),), last=False),
        Artifact("a", "a", (Text("two"), file), append=True, last=False),
        Artifact("a", "a", (Text("three"),), append=True),
    ]
    for written in (chunks[:2], chunks[2:]):
        for event in convert.output_events(task, written, NOW):
            fold(task, event)
    assert isinstance(event, TaskArtifactUpdateEvent)
    assert (event.append, event.last_chunk) == (False, True)
    assert event.artifact == task.artifacts[0]
    assert [part.text or part.raw for part in event.artifact.parts] == ["one, two", b"1", "three"]


def test_a_chunk_of_an_artifact_that_has_no_beginning_is_one() -> None:
    task = Task(id="t", context_id="c")
    chunks = [Artifact("a", "a", (Text(text),), append=True, last=False) for text in "xy"]
    events = convert.output_events(task, chunks, NOW)
    assert [event.append for event in events if hasattr(event, "append")] == [False, True]
    for event in events:
        fold(task, event)
    assert [part.text for part in task.artifacts[0].parts] == ["xy"]
