"""How a message from outside becomes the human message that the graph gets."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import HumanMessage

from agent_runtime.graph.outputs import Data, File, Part, Text

Block = dict[str, Any]
_KINDS = frozenset({"image", "audio", "video"})


def human_message(
    parts: Sequence[Part],
    *,
    message_id: str,
    context_id: str,
    task_id: str,
    caller: str,
    metadata: Mapping[str, Any] | None = None,
    part_metadata: Sequence[Mapping[str, Any]] = (),
) -> HumanMessage:
    """The human message for `parts`, with what A2A knows of it under `additional_kwargs["a2a"]`.

    Text alone is plain text; with files or data the content is a list of LangChain's standard blocks. The
    sender's message id never becomes the message's own: LangGraph would let it replace an older message.
    `part_metadata` is one object for each part, or nothing at all.
    Raises `ValueError` without parts.
    """
    if not parts:
        raise ValueError("a message needs at least one part")
    a2a = {
        "message_id": message_id,
        "context_id": context_id,
        "task_id": task_id,
        "caller": caller,
        "data": [part.value for part in parts if isinstance(part, Data)],
        "metadata": dict(metadata or {}),
        "part_metadata": [dict(of_part) for of_part in part_metadata],
    }
    return HumanMessage(_content(parts), additional_kwargs={"a2a": a2a})


def _content(parts: Sequence[Part]) -> str | list[str | Block]:
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) == len(parts):
        return "\n".join(texts)
    return [_block(part) for part in parts]


def _block(part: Part) -> Block:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Data(value):
            return {"type": "text", "text": json.dumps(value, ensure_ascii=False)}
        case File():
            return _file_block(part)


def _file_block(file: File) -> Block:
    main_type = file.media_type.partition("/")[0]
    block: Block = {"type": main_type if main_type in _KINDS else "file", "mime_type": file.media_type}
    if file.name:
        block["extras"] = {"filename": file.name}
    if file.content is None:
        return block | {"url": file.url}
    return block | {"base64": base64.b64encode(file.content).decode()}
