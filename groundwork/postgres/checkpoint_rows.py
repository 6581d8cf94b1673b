"""The rows that a run adds to LangGraph's tables, gathered until they are sent. Their contents are what its own
saver would write, so that any other LangGraph program can read them."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from groundwork.postgres.checkpoint_values import NotStorable

Row = dict[str, Any]
Key = TypeVar("Key")

_LARGE = 256 * 1024
"""So many bytes take long enough for somebody to notice."""

_INT64 = 2**63


class Encoded(NamedTuple):
    """A value as the serialiser gives it: the name of its format, and its bytes."""

    type: str
    data: bytes


class BlobKey(NamedTuple):
    thread: str
    ns: str
    channel: str
    version: str


class CheckpointKey(NamedTuple):
    thread: str
    ns: str
    id: str


class WriteKey(NamedTuple):
    thread: str
    ns: str
    checkpoint: str
    task: str
    idx: int


class ValueEncoder:
    """Turns values into bytes, those of large channels in a thread: others would wait for too long."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._serde = serde
        # How large values were is all that is known of the next ones. What is written to a channel tells nothing
        # of the value that the channel then has.
        self._values: dict[str, int] = {}
        self._writes: dict[str, int] = {}

    @property
    def has_large_values(self) -> bool:
        return max(self._values.values(), default=0) > _LARGE

    def note_size(self, channel: str, size: int) -> None:
        """So many bytes the channel's value has had."""
        self._values[channel] = size

    async def encode_values(self, values: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], Encoded]:
        """Values of channels, by channel and version, as they are now: what the graph does to them next is not in
        the bytes. Raises `NotStorable`."""
        return await self._encode(values, lambda key: key[0], self._values)

    async def encode_writes(self, writes: Sequence[tuple[str, Any]]) -> list[tuple[str, Encoded]]:
        """Writes as LangGraph has them, channels with what is written to them. Raises `NotStorable`."""
        given = dict(enumerate(value for _, value in writes))
        encoded = await self._encode(given, lambda number: writes[number][0], self._writes)
        return [(channel, encoded[number]) for number, (channel, _) in enumerate(writes)]

    async def _encode(
        self, values: Mapping[Key, Any], channel_of: Callable[[Key], str], sizes: dict[str, int]
    ) -> dict[Key, Encoded]:
        if not values:
            return {}
        if any(sizes.get(channel_of(key), 0) > _LARGE for key in values):
            encoded = await asyncio.to_thread(self._dump, values, channel_of)
        else:
            encoded = self._dump(values, channel_of)
        for key, (_, data) in encoded.items():
            sizes[channel_of(key)] = len(data)
        return encoded

    def _dump(self, values: Mapping[Key, Any], channel_of: Callable[[Key], str]) -> dict[Key, Encoded]:
        encoded = {}
        for key, value in values.items():
            try:
                encoded[key] = Encoded(*self._serde.dumps_typed(value))
            except Exception as error:  # a value's own code may raise anything while it is written down
                raise NotStorable(channel_of(key), value) from error
        return encoded


@dataclass
class CheckpointRows:
    """Rows, each at most once: what comes later replaces what is there or yields to it, as in the tables."""

    blobs: dict[BlobKey, Encoded] = field(default_factory=dict)
    checkpoints: dict[CheckpointKey, str] = field(default_factory=dict)
    writes: dict[WriteKey, tuple[Row, Encoded]] = field(default_factory=dict)
    replacing: set[WriteKey] = field(default_factory=set)
    size: int = 0
    """How many bytes of values there are."""

    def __bool__(self) -> bool:
        return bool(self.checkpoints or self.writes or self.blobs)

    def add_checkpoint(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        values: Mapping[tuple[str, str], Encoded],
    ) -> None:
        """`values` are the new ones that do not stand in the checkpoint itself, by channel and version. Raises
        `TypeError` for metadata that JSON cannot say."""
        configurable = config["configurable"]
        thread, ns = configurable["thread_id"], configurable["checkpoint_ns"]
        key = CheckpointKey(thread, ns, checkpoint["id"])
        self.checkpoints[key] = json.dumps(
            {
                **key._asdict(),
                "parent": configurable.get("checkpoint_id"),
                "checkpoint": {**checkpoint, "channel_values": _inline_values(checkpoint["channel_values"])},
                "metadata": get_serializable_checkpoint_metadata(config, metadata),
            }
        )
        for (channel, version), encoded in values.items():
            self.blobs.setdefault(BlobKey(thread, ns, channel, version), encoded)
            self.size += len(encoded.data)

    def add_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Encoded]], task_id: str, task_path: str
    ) -> None:
        configurable = config["configurable"]
        place = configurable["thread_id"], configurable["checkpoint_ns"], configurable["checkpoint_id"]
        replace = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        for position, (channel, encoded) in enumerate(writes):
            key = WriteKey(*place, task_id, WRITES_IDX_MAP.get(channel, position))
            if replace:
                self.replacing.add(key)
            elif key in self.writes:
                continue
            self.writes[key] = {"path": task_path, "channel": channel}, encoded
            self.size += len(encoded.data)

    def packed(self) -> tuple[str, bytes]:
        """The rows as JSON, and one string of bytes in which they say where their values are."""
        values = _Values()
        blobs = [key._asdict() | values.place(encoded) for key, encoded in self.blobs.items()]
        plain: list[Row] = []
        replacing: list[Row] = []
        for key, (row, encoded) in self.writes.items():
            (replacing if key in self.replacing else plain).append(key._asdict() | row | values.place(encoded))
        rest = json.dumps({"blobs": blobs, "writes": plain, "replacing": replacing})
        return f'{{"checkpoints": [{", ".join(self.checkpoints.values())}], {rest[1:]}', values.joined()


class _Values:
    """Values, one behind the other."""

    def __init__(self) -> None:
        self._all: list[bytes] = []
        self._length = 0

    def place(self, encoded: Encoded) -> Row:
        """Adds a value and says where it is, the first byte being number 1."""
        start, length = self._length + 1, len(encoded.data)
        self._all.append(encoded.data)
        self._length += length
        return {"type": encoded.type, "start": start, "length": length}

    def joined(self) -> bytes:
        return b"".join(self._all)


def config_of(config: RunnableConfig, checkpoint: Checkpoint) -> RunnableConfig:
    """Where a checkpoint is found that was put with `config`; what savers answer."""
    place = {name: config["configurable"][name] for name in ("thread_id", "checkpoint_ns")}
    return {"configurable": {**place, "checkpoint_id": checkpoint["id"]}}


def values_apart(checkpoint: Checkpoint, new_versions: ChannelVersions) -> dict[tuple[str, str], Any]:
    """The new values that go into rows of their own, by channel and version."""
    values = checkpoint["channel_values"]
    return {
        (channel, str(version)): values[channel]
        for channel, version in new_versions.items()
        if channel in values and not _is_inline(values[channel])
    }


def _inline_values(values: Mapping[str, Any]) -> dict[str, Any]:
    # Of a delta channel, `True` says that a blob holds the whole value at this point.
    return {
        channel: True if isinstance(value, _DeltaSnapshot) else value
        for channel, value in values.items()
        if isinstance(value, _DeltaSnapshot) or _is_inline(value)
    }


def _is_inline(value: Any) -> bool:
    """Whether the value stands in the checkpoint itself, which is JSON. LangGraph's saver puts every text and
    number there. It fails on those that PostgreSQL's JSON has no way to say; others come back changed, such as a
    member of a `StrEnum` without its class, and 1e16 as an integer."""
    kind: type = type(value)
    if kind is str:
        return "\0" not in value and _is_unicode(value)
    if kind is float:
        return math.isfinite(value) and "e" not in (written := repr(value)) and written != "-0.0"
    if kind is int:
        return bool(-_INT64 <= value < _INT64)
    return value is None or kind is bool


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
