"""Agents that speak A2A, of version 1.0 or 0.3: the one place that knows the protocol's library."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from a2a.client import A2AClientTimeoutError, Client, ClientCallContext, ClientConfig, ClientFactory
from a2a.types import (
    AgentCard,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
)
from a2a.utils.errors import A2AError, InternalError
from google.protobuf.json_format import ParseError

from groundwork.http.json_body import BadJson
from groundwork.outgoing.a2a_answers import (
    AgentsClient,
    SentData,
    describe_file,
    keeping_data,
    parts_of,
    read_agent_card,
)
from groundwork.outgoing.a2a_cards import BINDINGS, CardUnusable
from groundwork.outgoing.bounded_http import OpenTransport
from groundwork.outgoing.fetch import Fetched, FetchFailed, OutgoingPolicy, fetch
from groundwork.outgoing.foreign_json import parse_foreign_json
from groundwork.outgoing.masking import Mask
from groundwork.postgres.storable import storable
from groundwork.telemetry import genai
from groundwork.telemetry.tracing import span
from registry.outbound.answers import read_text
from registry.outbound.conversation import AgentPlace, AgentQuestion, Answer, Talk, TalkState
from registry.outbound.failures import OutboundFailed, fetch_failed
from registry.outbound.http_tools import retry_after

_LONGEST_ANSWER = 16 * 1024 * 1024
_MOST_TASKS = 50
_CONNECT_SECONDS = 10.0
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.2, 5.0
_WORKING = (TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)
_NOT_TO_BE_JOINED = (
    TaskState.TASK_STATE_FAILED,
    TaskState.TASK_STATE_REJECTED,
    TaskState.TASK_STATE_CANCELED,
    TaskState.TASK_STATE_INPUT_REQUIRED,
)
_ERRORS = (A2AError, httpx.HTTPError, httpx.InvalidURL, ParseError, ValueError, KeyError, TypeError)
"""What the library raises for what agents answer."""


class A2AAgents:
    """Asks agents, one message at a time. `cards` is the client for their cards."""

    def __init__(self, calls: httpx.AsyncClient, cards: httpx.AsyncClient, policy: OutgoingPolicy) -> None:
        self._calls = calls
        self._cards = cards
        self._policy = policy

    async def ask(self, place: AgentPlace, question: AgentQuestion, seconds: float) -> Answer:
        """Waits until the agent is done with it. Raises `OutboundFailed`."""
        asked = genai.agent_call(place.name, conversation_id=question.context_id)
        attributes = {**asked, **genai.server_of(place.url)}
        with span(f"agent {place.name}", attributes, client=True):
            async with self._calling(place, seconds) as (line, sent):
                return await _Exchange(place, line, sent).hold(question)

    async def begin(self, place: AgentPlace, question: AgentQuestion, seconds: float) -> Talk:
        """Send the message, and do not wait for what comes of it. Raises `OutboundFailed`."""
        async with self._calling(place, seconds) as (line, sent):
            answer = await line.send(_message(question), at_once=True)
            if answer.HasField("task"):
                return _talk(answer.task, sent)
            text, data, files = _sorted_out(answer.message.parts, sent)
            return Talk(
                None, question.context_id, "completed", "completed", [question.text], "", text, data, files
            )

    async def look(self, place: AgentPlace, task_id: str, seconds: float) -> Talk:
        """Return how far the agent is with the task. Raises `OutboundFailed`."""
        async with self._calling(place, seconds) as (line, sent):
            return _talk(await line.get_task(task_id), sent)

    @asynccontextmanager
    async def _calling(self, place: AgentPlace, seconds: float) -> AsyncIterator[tuple["_Line", SentData]]:
        try:
            async with asyncio.timeout(seconds):
                line = await self._connect(place)
                with keeping_data() as sent:
                    yield line, sent
        except TimeoutError:
            raise OutboundFailed(
                f"{place.name} gave no answer within {seconds:g} seconds", retryable=True, kind="timeout"
            ) from None
        except FetchFailed as error:
            raise fetch_failed(error) from error
        except _ERRORS as error:
            raise _explained(place.name, place.credentials.mask, error) from error

    async def _connect(self, place: AgentPlace) -> "_Line":
        known = _parsed(place.name, dict(place.card), place.url) if place.card else None
        card = known or await self._fetch_card(place)
        usable = list(card.supported_interfaces)
        trusted = [face for face in usable if place.credentials.for_url(face.url)]
        face = (trusted or usable)[0]
        del card.supported_interfaces[:]
        card.supported_interfaces.append(face)
        config = ClientConfig(
            httpx_client=self._calls, streaming=False, supported_protocol_bindings=list(BINDINGS)
        )
        # No other headers than those for where the agent's interface is: cards are written by others.
        return _Line(ClientFactory(config).create(card), dict(place.credentials.for_url(face.url)))

    async def _fetch_card(self, place: AgentPlace) -> AgentCard:
        said = ""
        for url in place.card_urls:
            headers = {"Accept": "application/json", **place.credentials.for_url(url)}
            answer = await fetch(self._cards, "GET", url, policy=self._policy, headers=headers)
            if answer.status == 200:
                return _parsed(place.name, _document(place.name, answer), answer.url)
            said = f"the card of {place.name} answers {answer.status}"
            if answer.status >= 500:
                raise OutboundFailed(said, retryable=True, kind="server_error")
        raise OutboundFailed(said)


class _Line:
    """A client for one agent, and the headers of each call."""

    def __init__(self, client: Client, headers: dict[str, str]) -> None:
        self._client = client
        self._headers = headers

    @property
    def _context(self) -> ClientCallContext:
        return ClientCallContext(service_parameters=dict(self._headers))

    async def send(self, message: Message, *, at_once: bool = False) -> StreamResponse:
        """With `at_once` the agent is not to wait until it is done."""
        answer = StreamResponse()
        request = SendMessageRequest(
            message=message, configuration=SendMessageConfiguration(return_immediately=at_once)
        )
        async for event in self._client.send_message(request, context=self._context):
            answer = event
        return answer

    async def get_task(self, task_id: str) -> Task:
        return await self._client.get_task(GetTaskRequest(id=task_id), context=self._context)

    async def list_tasks(self, context_id: str) -> list[Task]:
        """Those of the conversation; none where the agent cannot tell."""
        asked = ListTasksRequest(context_id=context_id, page_size=_MOST_TASKS, history_length=100)
        try:
            return list((await self._client.list_tasks(asked, context=self._context)).tasks)
        except (A2AError, NotImplementedError):
            return []


class _Exchange:
    """One question, and what came of it."""

    def __init__(self, place: AgentPlace, line: _Line, sent: SentData) -> None:
        self._sent = sent
        self._name = place.name
        self._mask = place.credentials.mask
        self._line = line

    async def hold(self, question: AgentQuestion) -> Answer:
        task, failures = await self._find_asked(question) if question.repeated else (None, 0)
        if task is None:
            answer = await self._line.send(_message(question, failures))
            if not answer.HasField("task"):
                return Answer("completed", _value(answer.message.parts, self._sent), None, question.context_id)
            task = answer.task
        pause = _FIRST_LOOK_SECONDS
        while task.status.state in _WORKING:
            await asyncio.sleep(pause)
            task = await self._line.get_task(task.id)
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)
        return self._outcome(task)

    async def _find_asked(self, question: AgentQuestion) -> tuple[Task | None, int]:
        """Return the task that the message has led to already, or how many of those have come to nothing."""
        failures = 0
        for task in await self._line.list_tasks(question.context_id):
            if any(_is_asking(message, question) for message in task.history):
                if task.status.state not in _NOT_TO_BE_JOINED:
                    return await self._line.get_task(task.id), failures  # lists leave out what was made
                failures += 1
        return None, failures

    def _outcome(self, task: Task) -> Answer:
        state = task.status.state
        if state == TaskState.TASK_STATE_COMPLETED:
            return Answer("completed", _value(parts_of(task), self._sent), task.id, task.context_id)
        said = _value(task.status.message.parts, self._sent)
        if state == TaskState.TASK_STATE_INPUT_REQUIRED:
            return Answer("input_required", said, task.id, task.context_id)
        word = TaskState.Name(state).removeprefix("TASK_STATE_").lower().replace("_", " ")
        reason = self._mask.error(RuntimeError(f"{self._name} did not do it: {word}. {said or ''}".rstrip(" .")))
        raise OutboundFailed(reason, retryable=state == TaskState.TASK_STATE_FAILED)


@asynccontextmanager
async def open_agents(
    cards: httpx.AsyncClient, policy: OutgoingPolicy, open_transport: OpenTransport | None
) -> AsyncIterator[A2AAgents]:
    timeouts = httpx.Timeout(_CONNECT_SECONDS, read=None)
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    async with AgentsClient(
        longest=_LONGEST_ANSWER, timeout=timeouts, cookies=no_cookies, open_transport=open_transport
    ) as calls:
        yield A2AAgents(calls, cards, policy)


def _is_asking(message: Message, question: AgentQuestion) -> bool:
    return message.message_id == question.message_id or message.message_id.startswith(f"{question.message_id}.")


def _message(question: AgentQuestion, failures: int = 0) -> Message:
    """A message that is sent again under its id is not done again, so after each failure it is another message."""
    message = Message(
        message_id=f"{question.message_id}.{failures}" if failures else question.message_id,
        role=Role.ROLE_USER,
        parts=[Part(text=question.text)],
        context_id=question.context_id,
        task_id=question.task_id,
    )
    message.metadata.update(question.metadata)
    return message


def _document(name: str, answer: Fetched) -> dict[str, Any]:
    try:
        document = parse_foreign_json(answer.body, answer.headers.get("content-type", ""))
    except BadJson as error:
        raise OutboundFailed(f"the card of {name} cannot be read: {error.reason}") from None
    if not isinstance(document, dict):
        raise OutboundFailed(f"the card of {name} is not a JSON object")
    return document


def _parsed(name: str, document: dict[str, Any], url: str) -> AgentCard:
    try:
        return read_agent_card(document, url)
    except CardUnusable as error:
        raise OutboundFailed(f"{name} cannot be called: {storable(str(error))}") from error


def _value(parts: Iterable[Part], sent: SentData) -> Any:
    """What the parts say; None when they say nothing.

    Text alone is read as JSON when it is an object or a list; data alone is what it is, and a list where it is
    several; so are files. Parts of several kinds are an object of all there is: `text`, `data`, which is a list
    where it is several, and `files`, always a list.
    """
    text, data, files = _sorted_out(parts, sent)
    kinds = {"text": text, "data": _alone(data), "files": files}
    given = {name: value for name, value in kinds.items() if value or (name == "data" and data)}
    if len(given) > 1:
        return given
    return storable(read_text(text)) if text else _alone(data or files)


_STATES: dict[int, TalkState] = {
    TaskState.TASK_STATE_SUBMITTED: "working",
    TaskState.TASK_STATE_WORKING: "working",
    TaskState.TASK_STATE_COMPLETED: "completed",
    TaskState.TASK_STATE_INPUT_REQUIRED: "input_required",
}
"""Every other one is a failure for whoever has asked."""


def _talk(task: Task, sent: SentData) -> Talk:
    is_done = task.status.state == TaskState.TASK_STATE_COMPLETED
    artifacts = [part for artifact in task.artifacts for part in artifact.parts]
    text, data, files = _sorted_out(parts_of(task) if is_done else artifacts, sent)
    note, further, _ = _sorted_out(task.status.message.parts, sent)
    asked = [_sorted_out(said.parts, sent)[0] for said in task.history if said.role == Role.ROLE_USER]
    word = TaskState.Name(task.status.state).removeprefix("TASK_STATE_").lower()
    return Talk(
        task_id=task.id,
        context_id=task.context_id,
        state=_STATES.get(task.status.state, "failed"),
        word=word,
        asked=asked,
        note="" if is_done else note,
        text=text,
        data=data if is_done else further,
        files=files,
    )


def _sorted_out(parts: Iterable[Part], sent: SentData) -> tuple[str, list[Any], list[Mapping[str, Any]]]:
    """The text, the data and the files among the parts."""
    texts: list[str] = []
    data: list[Any] = []
    files: list[Mapping[str, Any]] = []
    for part in parts:
        match part.WhichOneof("content"):
            case "text":
                texts.append(part.text)
            case "data":
                data.append(storable(sent.of(part)))
            case "raw" | "url":
                files.append(storable(describe_file(part)))
    return str(storable("\n".join(filter(None, texts)))), data, files


def _alone(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values or None


def _explained(name: str, mask: Mask, error: Exception) -> OutboundFailed:
    cause = error.__cause__
    reason = storable(mask.error(error))
    if isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return OutboundFailed(f"{name} cannot be reached", retryable=True, kind="io_error")
    if isinstance(cause, httpx.HTTPStatusError):
        return _refused(name, cause.response)
    if isinstance(error, A2AClientTimeoutError) or isinstance(cause, httpx.TransportError):
        return OutboundFailed(f"{name} was lost before it answered: {reason}", retryable=True, kind="io_error")
    return OutboundFailed(f"{name} answered with an error: {reason}", retryable=isinstance(error, InternalError))


def _refused(name: str, response: httpx.Response) -> OutboundFailed:
    status, wait = response.status_code, retry_after(response.headers)
    message = f"{name} answered {status}"
    if status == 429:
        return OutboundFailed(message, retryable=True, kind="rate_limit", retry_after=wait)
    if status in (401, 403):
        return OutboundFailed(f"{message}: it wants other credentials than it was given")
    return OutboundFailed(message, retryable=status >= 500, kind="server_error", retry_after=wait)
