"""What models say, piece by piece: a start, blocks of text and tool calls, and an end. Everything here is pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Namespace = tuple[str, ...]


@dataclass
class _Block:
    index: int
    content: Json


@dataclass
class _Message:
    node: str | None
    blocks: dict[str, _Block] = field(default_factory=dict)
    usage: Json | None = None


class MessageEvents:
    """Makes events of the chunks of a run's streamed messages. What comes whole was not streamed, and shows in the
    state only."""

    def __init__(self) -> None:
        self._open: dict[tuple[Namespace, str], _Message] = {}

    def read(
        self, namespace: Namespace, message: Json, metadata: Mapping[str, Any]
    ) -> tuple[str | None, list[Json]]:
        """Return the node that speaks, and the events for a chunk."""
        node = metadata.get("langgraph_node")
        if message.get("type") != "AIMessageChunk":
            return node, []
        key = (namespace, str(message.get("id")))
        events: list[Json] = []
        if (spoken := self._open.get(key)) is None:
            spoken = self._open[key] = _Message(node)
            start = {"event": "message-start", "role": "ai", "id": key[1], "metadata": _metadata(metadata)}
            events.append(start)
        for kind, content, delta in _pieces(message):
            events += _added(spoken, kind, content, delta)
        spoken.usage = message.get("usage_metadata") or spoken.usage
        if message.get("chunk_position") == "last":
            events += _finished(self._open.pop(key))
        return node, [{**event, "id": key[1]} for event in events]

    def finish_all(self) -> Iterator[tuple[Namespace, str | None, Json]]:
        """Yield the ends of messages that have none, where their run is over."""
        for (namespace, message_id), spoken in self._open.items():
            for event in _finished(spoken):
                yield namespace, spoken.node, {**event, "id": message_id}
        self._open = {}


def _metadata(metadata: Mapping[str, Any]) -> Json:
    known = {"provider": "ls_provider", "model": "ls_model_name", "run_id": "run_id", "thread_id": "thread_id"}
    told = {name: metadata[key] for name, key in known.items() if isinstance(metadata.get(key), str)}
    node = metadata.get("langgraph_node")
    return told if node is None else {**told, "langgraph_node": node}


def _pieces(message: Json) -> Iterator[tuple[str, Json, Json]]:
    """Yield what a chunk adds: which block it belongs to, how that begins, and the addition."""
    content = message.get("content")
    for piece in [content] if isinstance(content, str) else content or ():
        if isinstance(piece, str) or piece.get("type") == "text":
            text = piece if isinstance(piece, str) else piece.get("text") or ""
            if text:
                yield "text", {"type": "text", "text": ""}, {"type": "text-delta", "text": text}
        elif piece.get("type") in ("reasoning", "thinking"):
            thought = piece.get("reasoning") or piece.get("thinking") or ""
            if thought:
                empty = {"type": "reasoning", "reasoning": ""}
                yield "reasoning", empty, {"type": "reasoning-delta", "reasoning": thought}
    for call in message.get("tool_call_chunks") or ():
        begun = {"type": "tool_call_chunk", "id": call.get("id"), "name": call.get("name"), "args": ""}
        delta = {"type": "block-delta", "fields": {**begun, "args": call.get("args") or ""}}
        yield f"call {call.get('index') or 0}", begun, delta


def _added(spoken: _Message, kind: str, content: Json, delta: Json) -> list[Json]:
    events: list[Json] = []
    if (block := spoken.blocks.get(kind)) is None:
        block = spoken.blocks[kind] = _Block(len(spoken.blocks), dict(content))
        events.append({"event": "content-block-start", "index": block.index, "content": content})
    match delta:
        case {"text": text}:
            block.content["text"] += text
        case {"reasoning": thought}:
            block.content["reasoning"] += thought
        case {"fields": fields}:
            block.content["args"] += fields["args"]
            delta = {"type": "block-delta", "fields": dict(block.content)}
    return [*events, {"event": "content-block-delta", "index": block.index, "delta": delta}]


def _finished(spoken: _Message) -> list[Json]:
    events: list[Json] = [
        {"event": "content-block-finish", "index": block.index, "content": _whole(block.content)}
        for block in spoken.blocks.values()
    ]
    end = {"event": "message-finish"}
    return [*events, end if spoken.usage is None else {**end, "usage": spoken.usage}]


def _whole(content: Json) -> Json:
    if content["type"] != "tool_call_chunk":
        return content
    call = {"id": content["id"], "name": content["name"]}
    try:
        args = json.loads(content["args"] or "{}")
    except ValueError:
        args = None
    if isinstance(args, dict) and content["name"]:
        return {"type": "tool_call", **call, "args": args}
    return {
        "type": "invalid_tool_call",
        **call,
        "args": content["args"],
        "error": "the arguments are no JSON object",
    }
