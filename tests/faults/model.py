"""What was said and done, as those know it who did it; and what a conversation must then look like. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Message = tuple[str, str]
"""Role and text."""


@dataclass
class Said:
    """A numbered message. `accepted`: the agent has said so before anything later was sent in the conversation;
    otherwise it may be there or not, and may have come later than what was sent after it."""

    number: int
    accepted: bool = False


@dataclass
class Conversation:
    """One caller's, who says one thing after the other."""

    thread_id: str
    said: list[Said] = field(default_factory=list)

    def next(self) -> Said:
        self.said.append(Said(len(self.said) + 1))
        return self.said[-1]

    @property
    def certain(self) -> bool:
        """Whether nothing can still be on its way."""
        return all(said.accepted for said in self.said)


@dataclass
class Order:
    """A message for the stranger's graph, and the calls it asks for. Its thread's name says what becomes of it:
    `strange-` completes, `fails-` fails, `odd-` does either. `task_id`: unknown if it may not be accepted."""

    thread_id: str
    number: int
    calls: tuple[str, ...]
    task_id: str | None = None

    def places(self) -> set[tuple[str, str]]:
        """Under which its calls are in the journal."""
        return {(self.thread_id, f"{self.number}.{place}") for place in range(len(self.calls))}


@dataclass
class Book:
    """What happened in one round."""

    conversations: list[Conversation] = field(default_factory=list)
    doomed: set[str] = field(default_factory=set)
    """Threads whose deletion was begun."""
    deleted: set[str] = field(default_factory=set)
    """Threads of which the agent has said that they are gone."""
    executions: list[str] = field(default_factory=list)
    """Those that the registry has said it had started."""
    odd: list[str] = field(default_factory=list)
    """Answers that nobody should get, whatever has broken."""
    orders: list[Order] = field(default_factory=list)
    disturbed: list[tuple[float, float]] = field(default_factory=list)
    """From when until when runs of agents may have been ended by a fault, or the database was away."""
    refused: int = 0

    def begin(self, thread_id: str) -> Conversation:
        conversation = Conversation(thread_id)
        self.conversations.append(conversation)
        return conversation

    @property
    def kept(self) -> list[Conversation]:
        return [each for each in self.conversations if each.thread_id not in self.doomed and each.said]

    @property
    def accepted(self) -> int:
        return sum(said.accepted for each in self.conversations for said in each.said)

    @property
    def uncertain(self) -> int:
        return sum(not said.accepted for each in self.conversations for said in each.said)


def answer_to(number: int) -> str:
    return f"heard {number}"


def number_in(text: str) -> int:
    """The number with which a message begins."""
    first = text.split(" ", 1)[0]
    return int(first) if first.isdigit() else 0


def what_is_wrong(said: Sequence[Said], messages: Sequence[Message]) -> list[str]:
    """What speaks against these being the messages of the conversation."""
    numbers = [number_in(text) for role, text in messages if role == "human"]
    return [
        *_wrong_numbers(said, numbers),
        *_wrong_order(said, numbers),
        *_wrong_answers(messages),
    ]


def what_was_not_called_once(
    orders: Iterable[Order], journal: str, disturbed: Iterable[tuple[float, float]]
) -> list[str]:
    """What speaks against each call having been made once, and twice at most where a run was ended between."""
    made: dict[tuple[str, str], list[float]] = {}
    for line in journal.splitlines():
        at, thread_id, place = line.split(" ")
        made.setdefault((thread_id, place), []).append(float(at))
    spans, found = list(disturbed), []
    for order in orders:
        for key in sorted(order.places()):
            times = sorted(made.get(key, []))
            if not times and order.task_id and order.thread_id.startswith("strange-"):
                found.append(f"{key} was never called: {order}")
            for one, next_one in pairwise(times):
                if not any(began <= next_one and one <= ended for began, ended in spans):
                    found.append(f"{key} was called at {one} and {next_one}, and nothing was the matter: {order}")
    return found


def _wrong_numbers(said: Sequence[Said], numbers: Iterable[int]) -> list[str]:
    found = Counter(numbers)
    lost = [each.number for each in said if each.accepted and not found[each.number]]
    again = [number for number, times in found.items() if times > 1]
    strange = sorted(found.keys() - {each.number for each in said})
    told = (("accepted, but not there", lost), ("there more than once", again), ("never said", strange))
    return [f"{what}: {which}" for what, which in told if which]


def _wrong_order(said: Sequence[Said], numbers: Sequence[int]) -> list[str]:
    """Whatever was sent when a message was known to be accepted comes behind it."""
    accepted = {each.number for each in said if each.accepted}
    return [
        f"{later} stands before {number}, which was accepted earlier"
        for place, number in enumerate(numbers)
        if number in accepted
        for later in numbers[:place]
        if later > number
    ]


def _wrong_answers(messages: Sequence[Message]) -> list[str]:
    """Each message has its own answer right behind it, and nothing else is there."""
    expected = [
        message
        for role, text in messages
        if role == "human"
        for message in (("human", text), ("ai", answer_to(number_in(text))))
    ]
    if list(messages) == expected:
        return []
    pairs = enumerate(zip(messages, expected, strict=False))
    place = next((at for at, (have, want) in pairs if have != want), min(len(messages), len(expected)))
    return [f"not each message followed by its answer, from place {place}: {list(messages[place : place + 4])}"]
