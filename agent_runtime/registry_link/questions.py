"""Telling the registry which questions wait for a person, so that it has those of all agents in one list."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from agent_runtime.registry_link.client import RegistryClient
from agent_runtime.registry_link.errors import RegistryError, RegistryRefused
from groundwork.postgres.storable import storable
from groundwork.process.repeating import repeat

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often a process looks whether the agent has asked something, whichever process of it did."""

_REPEAT_SECONDS = 30.0
_REFUSED_SECONDS = 5.0
_MOST = 2000
_MOST_DECIDERS = 100
_BATCH = 100
_BATCH_BYTES = 400_000
_LONGEST_TEXT = 20_000
_LONGEST_DATA = 40_000


class Place(Protocol):
    """Which task has asked, and when."""

    @property
    def task_id(self) -> str: ...
    @property
    def status_at(self) -> datetime: ...


class Asked(Protocol):
    """What a task asks."""

    @property
    def task_id(self) -> str: ...
    @property
    def since(self) -> datetime: ...
    @property
    def thread_id(self) -> str: ...
    @property
    def caller(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def data(self) -> Sequence[Any]: ...
    @property
    def decisions(self) -> Sequence[str]: ...
    @property
    def schema(self) -> Mapping[str, Any] | None: ...
    @property
    def digest(self) -> str: ...


class OpenQuestions(Protocol):
    """The agent's open questions; see `a2a_server.decisions.Decisions`."""

    async def list_open_keys(self, limit: int) -> tuple[datetime, Sequence[Place], bool]: ...
    async def find_question(self, task_id: str) -> Asked | None: ...
    async def find_decider(self, task_id: str) -> str | None: ...


class _Key(NamedTuple):
    task_id: str
    since: datetime


class QuestionReports:
    """Says which questions are open whenever they are other ones than it said before, and now and then again.

    Every process of the agent does it, and says all there are: what one of them was stopped over, the others say.
    What the questions ask is said once, of those that the registry wants to know it of.
    """

    def __init__(
        self, client: RegistryClient, questions: OpenQuestions, agent_id: Callable[[], str | None]
    ) -> None:
        """`agent_id` is what the registry calls the agent, once it does."""
        self._client = client
        self._questions = questions
        self._agent_id = agent_id
        self._said: frozenset[_Key] | None = None
        self._said_at = 0.0
        self._refused_until = 0.0
        self._problem: str | None = None

    async def run(self) -> None:
        """The loop that reports, and lasts as long as the process."""
        await repeat(self._report, LOOK_SECONDS, "reporting open questions")

    async def _report(self) -> None:
        if time.monotonic() < self._refused_until:
            return
        try:
            await self._look()
            self._problem = None
        except RegistryRefused as refused:  # it is of another kind, or has forgotten the agent
            self._refused_until = time.monotonic() + _REFUSED_SECONDS
            self._failed(refused)
        except RegistryError as error:
            self._failed(error)

    async def _look(self) -> None:
        agent_id = self._agent_id()
        if agent_id is None:
            self._said = None
            return
        read_at, places, has_more = await self._questions.list_open_keys(_MOST)
        keys = [_Key(place.task_id, place.status_at) for place in places]
        is_old = bool(keys) and time.monotonic() - self._said_at > _REPEAT_SECONDS
        if frozenset(keys) == self._said and not is_old:
            return
        report = {
            "read_at": read_at.isoformat(),
            "complete_since": keys[-1].since.isoformat() if has_more else None,
            "answered": await self._answered(keys),
        }
        new = [key.task_id for key in keys if self._said is None or key not in self._said]
        await self._say(agent_id, report, keys, new)
        self._said, self._said_at = frozenset(keys), time.monotonic()

    async def _say(
        self, agent_id: str, report: Mapping[str, Any], keys: Sequence[_Key], wanted: Sequence[str]
    ) -> None:
        """Say all, and describe what is `wanted`, as much at a time as one report may hold."""
        while True:
            described = await self._describe(keys, wanted)
            listed = [
                {"task_id": key.task_id, "since": key.since.isoformat(), "described": described.get(key.task_id)}
                for key in keys
            ]
            wanted = await self._client.report_questions(agent_id, {**report, "questions": listed})
            if not wanted or not described:
                return

    async def _describe(self, keys: Sequence[_Key], wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
        asked_at = dict(keys)
        described: dict[str, dict[str, Any]] = {}
        length = 0
        for task_id in wanted[:_BATCH]:
            asked = await self._questions.find_question(task_id)
            if asked is None or asked.since != asked_at.get(task_id):
                continue  # answered meanwhile, which the next look finds
            shown = _shown(asked)
            length += len(json.dumps(shown, default=str))
            if described and length > _BATCH_BYTES:
                break
            described[task_id] = shown
        return described

    async def _answered(self, keys: Sequence[_Key]) -> list[dict[str, Any]]:
        """What is open no more since the last report, and whose answer it was."""
        gone = sorted((self._said or frozenset()).difference(keys))[:_MOST_DECIDERS]
        return [
            {
                "task_id": key.task_id,
                "since": key.since.isoformat(),
                "decided_by": await self._questions.find_decider(key.task_id),
            }
            for key in gone
        ]

    def _failed(self, error: Exception) -> None:
        """Log what keeps the registry from knowing, once until something else does."""
        if type(error).__name__ != self._problem:
            self._problem = type(error).__name__
            logger.warning("reporting open questions failed: %s", error)


def _shown(asked: Asked) -> dict[str, Any]:
    """What the list shows of it; what is too long for a list stays with the agent."""
    text, data, schema = asked.text, list(asked.data), asked.schema
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 1] + "…"
    if len(json.dumps(data, default=str)) > _LONGEST_DATA:
        data = []
    if len(json.dumps(schema, default=str)) > _LONGEST_DATA:
        schema = None
    shown: dict[str, Any] = storable(
        {
            "thread_id": asked.thread_id,
            "caller": asked.caller,
            "digest": asked.digest,
            "text": text,
            "data": data,
            "decisions": list(asked.decisions),
            "schema": schema,
        }
    )
    return shown
