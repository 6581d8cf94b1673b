"""Whether a tenant's chain of entries is whole: what can be found out without asking the database to say so.

The hash is the SHA-256 of a JSON array, in the one form in which PostgreSQL writes a `jsonb`. Most of the array
is text, which is written here; the detail of an entry is read in that form already, since only PostgreSQL knows it
for every number. So nothing is taken on trust but that the database hands out what is in it.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

Totals = Counter[tuple[str, str]]
"""How many entries there are, by event type and actor."""

_MARK = re.compile(r"([1-9]\d{0,18}):([0-9a-f]{64})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it is hashed: `created_at` in seconds since 1970, `detail` as PostgreSQL writes it."""

    tenant_id: str
    sequence: int
    created_at: str
    event_type: str
    actor_type: str
    actor_id: str
    role: str | None
    subject: str
    execution_id: str | None
    detail: str
    request_id: str | None
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True)
class Mark:
    """A place in a chain, and the hash that was found there: `42:9f86d0…`. Whoever keeps one elsewhere can tell
    later whether anything up to there was changed, even by somebody who has computed all hashes anew."""

    sequence: int
    hash: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `ValueError`."""
        match = _MARK.fullmatch(text.strip())
        if match is None:
            raise ValueError("accepted: a sequence number, a colon, and 64 hexadecimal digits")
        return cls(int(match[1]), bytes.fromhex(match[2]))

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash.hex()}"


@dataclass(frozen=True)
class ChainReport:
    """What was found; `head` is where the chain ends as far as the database says."""

    tenant_id: str
    entries: int
    head: Mark | None
    problem: str | None = None
    broken_at: int | None = None
    """The first entry that is not as it was, or not there."""


class ChainCheck:
    """Follows a chain from its first entry to its end, and remembers the first thing that is wrong."""

    def __init__(
        self,
        tenant_id: str,
        head: Mark | None,
        noted: Mark | None = None,
        totals: Totals | None = None,
        *,
        is_expected: bool = False,
    ) -> None:
        """`noted` is what the chain is known to have held at an earlier time, `totals` what is counted of it;
        `is_expected` says that there has to be one."""
        self._totals = totals or Counter()
        self._counted: Totals = Counter()
        self._is_expected = is_expected
        self._tenant_id = tenant_id
        self._head = head
        self._noted = noted
        self._last = Mark(0, b"")
        self._entries = 0
        self._problem: tuple[int, str] | None = None

    def see(self, entry: StoredEntry) -> None:
        """The next entry, in the order of their numbers."""
        self._problem = self._problem or self._problem_at(entry)
        self._entries += 1
        self._counted[entry.event_type, entry.actor_id] += 1
        self._last = Mark(entry.sequence, entry.hash)

    def report(self) -> ChainReport:
        """To be called once all have been seen."""
        broken_at, problem = self._problem or self._problem_at_end() or (None, None)
        return ChainReport(self._tenant_id, self._entries, self._head, problem, broken_at)

    def _problem_at(self, entry: StoredEntry) -> tuple[int, str] | None:
        here, expected = entry.sequence, self._last.sequence + 1
        if here > expected:
            return expected, f"gap: entries {expected} to {here - 1} are missing"
        if here < expected:
            return here, f"entry {here} stands before the first"
        if self._head is not None and here > self._head.sequence:
            return here, f"entry {here} is beyond the head, which is at {self._head.sequence}"
        if entry.previous_hash != self._last.hash:
            return here, f"previous_hash differs: entry {here} does not follow the one before it"
        if entry_hash(entry) != entry.hash:
            return here, f"hash differs: entry {here} is not what was written"
        if self._noted is not None and here == self._noted.sequence and entry.hash != self._noted.hash:
            return here, f"entry {here} is not the one that was noted: the chain was written anew"
        return None

    def _problem_at_end(self) -> tuple[int, str] | None:
        last, head, noted = self._last, self._head, self._noted
        if head is None and not last.sequence and (self._is_expected or self._totals):
            return 1, "the chain is missing, with its head"
        if head is None and last.sequence:
            return last.sequence, f"the head is missing, which should be at {last.sequence}"
        if head is not None and last.sequence < head.sequence:
            return last.sequence + 1, f"gap: entries {last.sequence + 1} to {head.sequence}, the last, are missing"
        if head is not None and last.hash != head.hash:
            return last.sequence, "head differs: its hash is not that of the last entry"
        if noted is not None and last.sequence < noted.sequence:
            return last.sequence + 1, f"the chain was cut: it went to entry {noted.sequence} at least"
        return self._problem_of_totals()

    def _problem_of_totals(self) -> tuple[int, str] | None:
        for kind in sorted(self._counted.keys() | self._totals.keys()):
            there, counted = self._counted[kind], self._totals[kind]
            if there != counted:
                event_type, actor_id = kind
                return self._last.sequence, f"{event_type} of {actor_id}: {there} are there, {counted} are counted"
        return None


class ChainChecks:
    """Follows the chains of any number of tenants, of which each comes as a whole or mixed with others."""

    def __init__(
        self,
        heads: Mapping[str, Mark],
        noted: Mapping[str, Mark],
        totals: Mapping[str, Totals] = MappingProxyType({}),
        expected: Collection[str] = (),
    ) -> None:
        """By tenant: where the chains end as far as the database says, what they are known to have held, and how
        many entries are counted; `expected` are those of whom there has to be a chain."""
        self._checks = {
            of: ChainCheck(of, heads.get(of), noted.get(of), totals.get(of), is_expected=of in expected)
            for of in {*heads, *noted, *totals, *expected}
        }

    def see(self, entry: StoredEntry) -> None:
        """The next entry of a chain, in the order of their numbers."""
        check = self._checks.get(entry.tenant_id)
        if check is None:
            check = self._checks[entry.tenant_id] = ChainCheck(entry.tenant_id, None)
        check.see(entry)

    def reports(self) -> Sequence[ChainReport]:
        """To be called once all have been seen; in the order of the tenants' ids."""
        return [self._checks[of].report() for of in sorted(self._checks)]


def entry_hash(entry: StoredEntry) -> bytes:
    """What `audit_entry_hash` in the database made of the entry when it was written."""
    written = (
        _json(entry.tenant_id),
        str(entry.sequence),
        _json(entry.created_at),
        _json(entry.event_type),
        _json(entry.actor_type),
        _json(entry.actor_id),
        _json(entry.role),
        _json(entry.subject),
        _json(entry.execution_id),
        entry.detail,
        _json(entry.request_id),
        _json(entry.previous_hash.hex()),
    )
    return hashlib.sha256(f"[{', '.join(written)}]".encode()).digest()


def _json(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)
