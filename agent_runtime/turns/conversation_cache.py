"""What this process remembers of conversations that are stored by what each step adds to them."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

Channels = Mapping[str, Sequence[Any]]

_SAMPLE = 50

_MESSAGE_BYTES = 1_500
"""What an object that holds a message takes besides its text."""


@dataclass(frozen=True)
class _Known:
    checkpoint_id: str
    channels: Channels
    weight: int


class ConversationCache:
    """The values of channels as of the latest checkpoint of threads, so that the next turn need not put them
    together again. A value belongs to its checkpoint, which never changes; whether that is still the latest one of
    the thread, the database says. Those used longest ago are given up first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        """How many threads are remembered."""
        return len(self._known)

    def put(self, thread_id: str, checkpoint_id: str, channels: Channels) -> None:
        self.drop(thread_id)
        weight = sum(map(_weigh_all, channels.values()))
        if weight > self._most_bytes:
            return
        self._known[thread_id] = _Known(checkpoint_id, channels, weight)
        self._weight += weight
        while self._weight > self._most_bytes:
            _, oldest = self._known.popitem(last=False)
            self._weight -= oldest.weight

    def find(self, thread_id: str, checkpoint_id: str) -> Channels | None:
        """The values at that checkpoint of the thread."""
        known = self._known.get(thread_id)
        if known is None or known.checkpoint_id != checkpoint_id:
            return None
        self._known.move_to_end(thread_id)
        return known.channels

    def drop(self, thread_id: str) -> None:
        if (known := self._known.pop(thread_id, None)) is not None:
            self._weight -= known.weight


def _weigh_all(items: Sequence[Any]) -> int:
    """About how many bytes the items take, judged by some of them."""
    some = items[:: max(1, len(items) // _SAMPLE)]
    return sum(map(_weigh, some)) * len(items) // len(some) if some else 0


def _weigh(item: Any) -> int:
    """About how many bytes an item takes."""
    if isinstance(item, BaseMessage):
        content = item.content
        return _MESSAGE_BYTES + (len(content) if isinstance(content, str) else len(repr(content)))
    return len(repr(item))
