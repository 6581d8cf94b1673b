"""Events of a thread, as `langchain-protocol` has them, made of what runs have streamed. Everything here is pure.

The events of a run are the same, with the same numbers, whenever and wherever they are made of its frames.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.langgraph_server.message_events import MessageEvents
from agent_runtime.langgraph_server.runs import RunFrame
from agent_runtime.langgraph_server.store import ThreadRun

Json = dict[str, Any]

STREAM_MODES = ("values", "updates", "messages-tuple", "custom", "tasks", "checkpoints")
"""What a run has to stream for all its events to be there."""

CHANNELS = frozenset(
    {"values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"}
)

_EVENTS_OF_A_RUN = 1 << 24
"""So many numbers each run has: those of a thread's runs follow one another, and stay exact in a browser."""

_ENDINGS = {"completed": "completed", "failed": "failed", "interrupted": "interrupted", "cancelled": "interrupted"}


def first_run_after(since: int) -> int:
    """Return the number of the run after which events with greater numbers than `since` may begin."""
    return max(since // _EVENTS_OF_A_RUN - 1, 0)


@dataclass(frozen=True)
class ThreadEvent:
    """One event at its place in the thread."""

    seq: int
    event_id: str
    method: str
    namespace: tuple[str, ...]
    data: Any
    node: str | None = None

    @property
    def channel(self) -> str:
        if self.method == "custom" and self.data.get("name") is not None:
            return f"custom:{self.data['name']}"
        return "input" if self.method == "input.requested" else self.method

    def to_json(self) -> Json:
        params: Json = {"namespace": list(self.namespace), "timestamp": int(time.time() * 1000), "data": self.data}
        if self.node is not None:
            params["node"] = self.node
        return {
            "type": "event",
            "event_id": self.event_id,
            "seq": self.seq,
            "method": self.method,
            "params": params,
        }


@dataclass(frozen=True)
class Subscription:
    """Which events somebody wants. Namespaces are prefixes, below which `depth` levels are shown."""

    channels: frozenset[str]
    namespaces: Sequence[Sequence[str]] = ()
    depth: int | None = None
    since: int = 0

    def wants(self, event: ThreadEvent) -> bool:
        if event.seq <= self.since:
            return False
        channel = event.channel
        if channel not in self.channels and not (channel.startswith("custom:") and "custom" in self.channels):
            return False
        return not self.namespaces or any(self._is_below(event.namespace, prefix) for prefix in self.namespaces)

    def _is_below(self, namespace: tuple[str, ...], prefix: Sequence[str]) -> bool:
        if len(prefix) > len(namespace):
            return False
        # A segment without an id stands for every call of that node.
        fits = all(
            wanted in (given, given.partition(":")[0]) for wanted, given in zip(prefix, namespace, strict=False)
        )
        return fits and (self.depth is None or len(namespace) - len(prefix) <= self.depth)


@dataclass(frozen=True)
class _Made:
    method: str
    namespace: tuple[str, ...]
    data: Any
    node: str | None = None


class RunEvents:
    """Makes the events of one run of its frames, which are read from the first one on."""

    def __init__(self, run: ThreadRun) -> None:
        self._run = run
        self._count = 0
        self._messages = MessageEvents()
        self._subgraphs: dict[str, tuple[str, ...]] = {}
        self._asked: set[str] = set()
        self._error: str | None = None

    def begin(self) -> list[ThreadEvent]:
        """Return what is told of a run before its first frame."""
        return self._numbered([self._lifecycle((), "running")])

    def read(self, item: RunFrame) -> list[ThreadEvent]:
        """Return the events of the next frame."""
        name, *namespace = item.frame.event.split("|")
        return self._numbered(self._events(name, tuple(namespace), json.loads(item.frame.data)))

    def _numbered(self, made: Sequence[_Made]) -> list[ThreadEvent]:
        events = []
        for one in made:
            self._count += 1
            seq = self._run.number * _EVENTS_OF_A_RUN + min(self._count, _EVENTS_OF_A_RUN - 1)
            event_id = f"{self._run.run_id}:{self._count}"
            events.append(ThreadEvent(seq, event_id, one.method, one.namespace, one.data, one.node))
        return events

    def _events(self, name: str, namespace: tuple[str, ...], data: Any) -> list[_Made]:
        if name == "end":
            return list(self._end(data["event"]))
        if name == "error":
            self._error = f"{data['error']}: {data['message']}"
            return []
        made = list(self._opened(namespace))
        match name:
            case "values":
                made += self._values(namespace, data)
            case "updates":
                made += self._updates(namespace, data)
            case "messages":
                node, events = self._messages.read(namespace, *data)
                made += [_Made("messages", namespace, event, node) for event in events]
            case "custom":
                named = data.get("name") if isinstance(data, dict) else None
                called = {"name": named} if isinstance(named, str) else {}
                made.append(_Made("custom", namespace, {**called, "payload": data}))
            case "tasks":
                made.append(_Made("tasks", namespace, data))
                made += self._closed(data)
            case "checkpoints":
                made.append(_Made("checkpoints", namespace, _checkpoint(data)))
        return made

    def _values(self, namespace: tuple[str, ...], data: Any) -> Iterator[_Made]:
        asked = data.pop("__interrupt__", ()) if isinstance(data, dict) else ()
        yield _Made("values", namespace, data)
        if not namespace:
            yield from self._interrupts(asked)

    def _updates(self, namespace: tuple[str, ...], data: Any) -> Iterator[_Made]:
        for node, values in data.items() if isinstance(data, dict) else ():
            if node == "__interrupt__":
                yield from self._interrupts(values) if not namespace else ()
                continue
            yield _Made("updates", namespace, {"node": node, "values": values}, node)
            yield from (_Made("tools", namespace, called, node) for called in _tool_events(values))

    def _interrupts(self, asked: Sequence[Mapping[str, Any]]) -> Iterator[_Made]:
        for one in asked:
            if one["id"] not in self._asked:
                self._asked.add(one["id"])
                told = {"interrupt_id": one["id"], "payload": one["value"], "value": one["value"]}
                yield _Made("input.requested", (), told)

    def _opened(self, namespace: tuple[str, ...]) -> Iterator[_Made]:
        """The start of each subgraph that is seen for the first time, the outer ones first."""
        for length in range(1, len(namespace) + 1):
            inner = namespace[:length]
            _, _, call_id = inner[-1].partition(":")
            if call_id and call_id not in self._subgraphs:
                self._subgraphs[call_id] = inner
                yield self._lifecycle(inner, "started", trigger_call_id=call_id)

    def _closed(self, task: Mapping[str, Any]) -> Iterator[_Made]:
        """The end of the subgraph that a task was."""
        if "result" not in task or (inner := self._subgraphs.pop(task.get("id", ""), None)) is None:
            return
        if task.get("interrupts"):
            yield self._lifecycle(inner, "interrupted")
        elif task.get("error"):
            yield self._lifecycle(inner, "failed", error=str(task["error"]))
        else:
            yield self._lifecycle(inner, "completed")

    def _end(self, ending: str) -> Iterator[_Made]:
        for namespace, node, said in self._messages.finish_all():
            yield _Made("messages", namespace, said, node)
        event = _ENDINGS[ending]
        for inner in reversed(self._subgraphs.values()):
            yield self._lifecycle(inner, event)
        yield self._lifecycle((), event, **({} if self._error is None else {"error": self._error}))

    def _lifecycle(self, namespace: tuple[str, ...], event: str, **more: str) -> _Made:
        graph = namespace[-1].partition(":")[0] if namespace else self._run.graph_id
        return _Made("lifecycle", namespace, {"event": event, "graph_name": graph, **more})


def _checkpoint(data: Mapping[str, Any]) -> Json:
    metadata = data.get("metadata") or {}
    told: Json = {"step": metadata.get("step"), "source": metadata.get("source")}
    for name, config in (("id", data.get("config")), ("parent_id", data.get("parent_config"))):
        if config is not None:
            told[name] = config["configurable"].get("checkpoint_id")
    return told


def _tool_events(values: Any) -> Iterator[Json]:
    """Calls that a model asks for, and what tools have answered, in what a node has written."""
    written = values if isinstance(values, list) else [values]
    said = [message for one in written if isinstance(one, dict) for message in _list(one.get("messages"))]
    for message in said:
        if not isinstance(message, dict):
            continue
        if message.get("type") == "ai":
            for call in message.get("tool_calls") or ():
                yield {
                    "event": "tool-started",
                    "tool_call_id": call["id"],
                    "tool_name": call["name"],
                    "input": call["args"],
                }
        elif message.get("type") == "tool":
            call_id = {"tool_call_id": message.get("tool_call_id")}
            if message.get("status") == "error":
                yield {"event": "tool-error", **call_id, "message": str(message.get("content"))}
            else:
                yield {"event": "tool-finished", **call_id, "output": message}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
