"""What the offline model keeps of a conversation: facts of the form `my name is Ada`."""

import re
from collections.abc import Sequence
from itertools import accumulate

from langchain_core.messages import AIMessage, BaseMessage

from groundwork.models.summarizing import INSTRUCTIONS

LONGEST_SUMMARY = 2000
LONGEST_LINE = 100

_FACT = re.compile(
    r"\bmy (?P<topic>\w[\w '’-]{0,40}?) (?:is|are) (?P<value>[^\s?\"][^\n\"]*?)"
    r"(?=[.,;:!?]*(?:[\n\"]|$|\s+(?:and|but) (?:I|my|we)\b)|[.,;:!?]+\s)",
    re.IGNORECASE,
)
_SPOKEN = re.compile(r"(?:human|ai|system|tool[^:]*): ")


def is_summary_request(messages: Sequence[BaseMessage]) -> bool:
    """Whether this is the summariser's prompt."""
    return messages[0].text == INSTRUCTIONS


def facts_in(messages: Sequence[BaseMessage]) -> dict[str, str]:
    """What people (and summaries) say about themselves, by topic; what was said last holds."""
    return _facts("\n".join(message.text for message in messages if not isinstance(message, AIMessage)))


def summarize(request: str) -> str:
    """How the conversation went, as far as there is room, and then the facts, so that the latest hold."""
    lines = request.splitlines()
    went = [_shorten(line) for line in lines if _SPOKEN.match(line)]
    facts = _facts("\n".join(line for line in lines if not line.startswith("ai: ")))
    told = [f"The user said: my {topic} is {value}." for topic, value in facts.items()]
    return "\n".join(["Summary by the offline model.", *_latest([*went, *told], LONGEST_SUMMARY)])


def _facts(text: str) -> dict[str, str]:
    return {match["topic"].lower(): match["value"] for match in _FACT.finditer(text)}


def _shorten(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def _latest(lines: Sequence[str], room: int) -> Sequence[str]:
    lengths = accumulate(len(line) + 1 for line in reversed(lines))
    return lines[len(lines) - sum(length <= room for length in lengths) :]
