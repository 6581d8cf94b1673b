"""What A2A callers can ask of the agent, answered from durable turns and stored tasks."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.tasks.push_notification_config_store import normalize_push_notification_config
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import (
    A2AError,
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.task import (
    ListTasksCursor,
    apply_history_length,
    decode_list_tasks_cursor,
    encode_list_tasks_cursor,
    validate_history_length,
    validate_page_size,
)

from agent_runtime.a2a_server import convert, store
from agent_runtime.a2a_server.checks import check_id, check_message, is_storable
from agent_runtime.a2a_server.edge import guarded
from agent_runtime.a2a_server.feed import TaskFeed
from agent_runtime.a2a_server.limits import brief
from agent_runtime.a2a_server.live_tasks import LiveTasks
from agent_runtime.a2a_server.push import PushPolicy
from agent_runtime.a2a_server.recorder import TaskRecorder, check_answerable
from agent_runtime.a2a_server.repeats import key_of
from agent_runtime.a2a_server.sent import Sent
from agent_runtime.a2a_server.tasks import (
    ANSWERED,
    A2ATurnRequest,
    Event,
    StoredTask,
    TaskEvent,
    state_name,
)
from agent_runtime.errors import AlreadyAccepted
from agent_runtime.graph.incoming import human_message
from agent_runtime.graph.inputs import GraphInput, Values
from agent_runtime.turns.feed import Follower
from agent_runtime.turns.once import MessageKey, find_answer, refuse_if_accepted
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.http.load import Load
from groundwork.postgres.pool import Pool, connection, transaction

DEFAULT_PAGE_SIZE = 50

HOLD_SECONDS = 1.0
"""How long a stream waits with the task, so that a bare message can still be the only thing in it."""

_CANCEL_ATTEMPTS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TurnEngine(Protocol):
    """What runs turns; see `turns.engine.Turns`."""

    async def submit(self, request: TurnRequest) -> Turn: ...

    async def cancel(self, task_id: str) -> bool: ...


Takes = Callable[[str], Awaitable[tuple[GraphInput, Callable[[Mapping[str, Any]], None]]]]
"""What the graph that answers in a thread takes, and what raises `InvalidValue` for a message's metadata."""


class A2AHandler(RequestHandler):
    """One agent's A2A methods. Every task belongs to a caller, and nobody else is told that it exists."""

    def __init__(
        self,
        pool: Pool,
        agent_id: str,
        engine: TurnEngine,
        recorder: TaskRecorder,
        live_tasks: LiveTasks,
        feed: TaskFeed,
        push_policy: PushPolicy,
        load: Load,
        takes: Takes,
    ) -> None:
        self.load = load
        self._pool = pool
        self._agent_id = agent_id
        self._engine = engine
        self._recorder = recorder
        self._live_tasks = live_tasks
        self._feed = feed
        self._push_policy = push_policy
        self._takes = takes

    # Messages

    @guarded
    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task | Message:
        async with self._submitted(params, context) as sent:
            item = await _next(sent)
            while not (item.ends or params.configuration.return_immediately):
                item = await _next(sent)
        if isinstance(item.event, Message):
            return item.event
        task = item.snapshot or (await self._get(sent.task_id, context)).task
        return apply_history_length(task, params.configuration)

    @guarded
    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        async with (
            self._submitted(params, context) as sent,
            aclosing(self._stream(sent, params.configuration)) as events,
        ):
            async for event in events:
                yield event

    @asynccontextmanager
    async def _submitted(self, params: SendMessageRequest, context: ServerCallContext) -> AsyncIterator[Sent]:
        """The task of the message, which is followed: a new one, or, from its beginning, the one that the message
        has already."""
        once = self._key_of(params, context)
        try:
            request, seen = await self._read(params, context, once)
            with self._feed.follow(request.task_id, seen) as follower:
                await self._engine.submit(request)
                follower.watch()
                holds = not (request.answers or request.push)
                yield Sent(follower, request.task_id, request.thread_id, holds)
                return
        except AlreadyAccepted as known:
            task_id = known.task_id
        with self._feed.follow(task_id) as follower:
            follower.fall_behind()
            follower.watch()
            find_answer = None if once is None else partial(self._find_answer, once)
            yield Sent(follower, task_id, params.message.context_id, find_answer=find_answer)

    def _key_of(self, params: SendMessageRequest, context: ServerCallContext) -> MessageKey | None:
        return key_of(
            params, context.state.get("headers", {}), agent_id=self._agent_id, caller=context.user.user_name
        )

    async def _find_answer(self, once: MessageKey) -> Message | None:
        answer = await find_answer(self._pool, once)
        return None if answer is None else Message.FromString(answer)

    async def _read(
        self, params: SendMessageRequest, context: ServerCallContext, once: MessageKey | None
    ) -> tuple[A2ATurnRequest, int]:
        """The turn that a message asks for, and the version of its task so far. Raises `AlreadyAccepted`."""
        validate_history_length(params.configuration)
        check_message(params.message)
        message, caller = Message(), context.user.user_name
        message.CopyFrom(params.message)
        seen = 0
        if message.task_id:
            try:
                stored = await self._get_answerable(message, context)
            except A2AError:  # which it is not any more, if this answer has arrived
                await refuse_if_accepted(self._pool, once)
                raise
            message.context_id, seen = stored.thread_id, stored.version
        answers, is_known = bool(message.task_id), bool(message.context_id)
        values: Values = {}
        parts = convert.incoming_parts(message)
        inputs, check_metadata = await self._takes(message.context_id)
        if not answers:
            values, parts = inputs.split(parts)
            if not is_known:  # else the conversation may have what the message lacks: the run will see
                inputs.check(values)
        metadata = convert.metadata_of(params)
        check_metadata(metadata)
        message.context_id = message.context_id or str(uuid4())
        message.task_id = message.task_id or str(uuid4())
        push = await self._push_config_of(params.configuration, message.task_id)
        metadata, part_metadata = convert.incoming_metadata(message)
        request = A2ATurnRequest(
            message.context_id,
            message.task_id,
            caller,
            message.message_id,
            human_message(
                parts,
                message_id=message.message_id,
                context_id=message.context_id,
                task_id=message.task_id,
                caller=caller,
                metadata=metadata,
                part_metadata=part_metadata,
            ),
            answers=answers,
            values=values,
            metadata=metadata,
            once=once,
            original=message,
            push=push,
            told=params.configuration.return_immediately,
        )
        return request, seen

    async def _get_answerable(self, message: Message, context: ServerCallContext) -> StoredTask:
        """The task that the message names and may answer. Raises the protocol's errors."""
        stored = await self._get(message.task_id, context)
        if message.context_id and message.context_id != stored.thread_id:
            raise InvalidParamsError(
                f"Context {message.context_id} does not match context {stored.thread_id} of task {message.task_id}"
            )
        check_answerable(message.task_id, stored, context.user.user_name, stored.thread_id)
        return stored

    async def _push_config_of(
        self, configuration: SendMessageConfiguration, task_id: str
    ) -> TaskPushNotificationConfig | None:
        if not configuration.HasField("task_push_notification_config"):
            return None
        config = normalize_push_notification_config(task_id, configuration.task_push_notification_config)
        check_id("taskPushNotificationConfig.id", config.id)
        await self._push_policy.check(config)
        return config

    async def _stream(self, sent: Sent, configuration: SendMessageConfiguration) -> AsyncGenerator[Event, None]:
        first, held = await _next(sent), None
        if isinstance(first.event, Message):
            yield first.event
            return
        if sent.holds:
            held = await sent.next(HOLD_SECONDS)
            if held is not None and isinstance(held.event, Message):
                yield held.event
                return
        self._live_tasks.tell(sent.task_id)
        task = first.snapshot or first.event
        yield apply_history_length(task, configuration) if isinstance(task, Task) else task
        if held is not None:
            yield held.event
        last = held or first
        while not last.ends:
            last = await _next(sent)
            yield _about(sent, last.event)

    # Tasks

    @guarded
    @brief
    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task:
        validate_history_length(params)
        self._live_tasks.tell(params.id)
        return apply_history_length((await self._get(params.id, context)).task, params)

    @guarded
    @brief
    async def on_list_tasks(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        validate_history_length(params)
        size = params.page_size if params.HasField("page_size") else DEFAULT_PAGE_SIZE
        validate_page_size(size)
        wanted, after = self._filter(params, context), _position(params.page_token)
        async with transaction(self._pool) as conn:
            page, more = await store.list_tasks(conn, wanted, size, after)
            total = await store.count_tasks(conn, wanted)
        return ListTasksResponse(
            tasks=[self._listed(item.task, params) for item in page],
            next_page_token=_token(page[-1].position) if more else "",
            page_size=size,
            total_size=total,
        )

    @guarded
    @brief
    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task:
        stored = await self._get(params.id, context)
        for _ in range(_CANCEL_ATTEMPTS):
            if stored.is_terminal:
                break
            if await self._engine.cancel(params.id) or await self._cancel_waiting(stored, params.id):
                return (await self._get(params.id, context)).task
            # Its turn ended, or an answer began one, between the two looks.
            stored = await self._get(params.id, context)
        raise TaskNotCancelableError(f"Task {params.id} cannot be cancelled: it is {_said(stored)}")

    @guarded
    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        with self._feed.follow(params.id) as follower:
            self._live_tasks.tell(params.id)
            stored = await self._get(params.id, context)
            if stored.is_terminal:
                raise UnsupportedOperationError(
                    f"Task {params.id} is {_said(stored)}; nothing follows, get it instead"
                )
            follower.start_at(stored.version)
            follower.watch()
            yield stored.task
            item: TaskEvent | None = None
            while item is None or not item.ends:
                item = await _next(follower)
                yield item.event

    # Push notifications

    @guarded
    @brief
    async def on_create_task_push_notification_config(
        self, params: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        await self._get(params.task_id, context)
        config = normalize_push_notification_config(params.task_id, params)
        check_id("id", config.id)
        await self._push_policy.check(config)
        self._live_tasks.tell(params.task_id)
        async with connection(self._pool) as conn:
            try:
                stored = await store.put_push_config(conn, self._agent_id, context.user.user_name, config)
            except store.TooManyPushConfigs as error:
                raise InvalidParamsError(str(error)) from None
        if not stored:
            raise TaskNotFoundError
        return config

    @guarded
    @brief
    async def on_get_task_push_notification_config(
        self, params: GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        for config in await self._push_configs(params.task_id, context):
            if config.id == params.id:
                return config
        raise TaskNotFoundError(f"Task {params.task_id} has no push notification config {params.id!r}")

    @guarded
    @brief
    async def on_list_task_push_notification_configs(
        self, params: ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> ListTaskPushNotificationConfigsResponse:
        return ListTaskPushNotificationConfigsResponse(configs=await self._push_configs(params.task_id, context))

    @guarded
    @brief
    async def on_delete_task_push_notification_config(
        self, params: DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        await self._get(params.task_id, context)
        if not is_storable(params.id):
            return
        async with connection(self._pool) as conn:
            await store.delete_push_config(conn, params.task_id, params.id)

    @guarded
    async def on_get_extended_agent_card(
        self, params: GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> AgentCard:
        raise UnsupportedOperationError("The agent has one card, the public one; there is no extended card")

    # Common ground

    async def _get(self, task_id: str, context: ServerCallContext) -> StoredTask:
        """The caller's task. Raises `TaskNotFoundError` for everybody else's, too."""
        if is_storable(task_id):
            async with connection(self._pool) as conn:
                stored = await store.find_task(conn, self._agent_id, context.user.user_name, task_id)
            if stored is not None:
                return stored
        raise TaskNotFoundError(f"Task {task_id} not found")

    async def _push_configs(
        self, task_id: str, context: ServerCallContext
    ) -> Sequence[TaskPushNotificationConfig]:
        await self._get(task_id, context)
        async with connection(self._pool) as conn:
            return await store.list_push_configs(conn, task_id)

    async def _cancel_waiting(self, stored: StoredTask, task_id: str) -> bool:
        """Cancels a task that no turn works on. Returns whether that is how it was found."""
        async with transaction(self._pool) as conn:
            locked = await store.lock_task(conn, stored.owner_key, task_id)
            if locked is None or locked.is_terminal or await store.has_turn(conn, task_id):
                return False
            announce = await self._recorder.cancel_waiting(conn, locked)
        announce()
        return True

    def _filter(self, params: ListTasksRequest, context: ServerCallContext) -> store.TaskFilter:
        if params.context_id:
            check_id("contextId", params.context_id)
        states: tuple[str, ...] | None = None
        if params.status:
            if params.status not in TaskState.values():
                raise InvalidParamsError(f"status {params.status} is not a task state")
            states = (state_name(params.status),)
            if params.status == TaskState.TASK_STATE_SUBMITTED:
                states = (*states, ANSWERED)
        since = None
        if params.HasField("status_timestamp_after"):
            since = params.status_timestamp_after.ToDatetime(UTC)
        return store.TaskFilter(self._agent_id, context.user.user_name, params.context_id or None, states, since)

    def _listed(self, task: Task, params: ListTasksRequest) -> Task:
        self._live_tasks.tell(task.id)
        if not params.include_artifacts:
            task.ClearField("artifacts")
        return apply_history_length(task, params)


async def _next(follower: Follower[TaskEvent] | Sent) -> TaskEvent:
    item = await follower.next()
    assert item is not None, "without a timeout there is always an event"
    return item


def _about(sent: Sent, event: Event) -> Event:
    """A stream that has shown its task cannot end with a bare message; it says the same as the task's last."""
    if not isinstance(event, Message):
        return event
    task = Task(id=sent.task_id, context_id=sent.thread_id or event.context_id)
    completed = convert.status(TaskState.TASK_STATE_COMPLETED, datetime.now(UTC), event)
    return convert.status_event(task, completed)


def _said(stored: StoredTask) -> str:
    return state_name(stored.task.status.state).lower().replace("_", "-")


def _token(position: store.Position) -> str:
    microseconds = (position.status_at - _EPOCH) // timedelta(microseconds=1)
    return encode_list_tasks_cursor(ListTasksCursor(microseconds * 1000, position.task_id))


def _position(token: str) -> store.Position | None:
    if not token:
        return None
    cursor = decode_list_tasks_cursor(token)
    try:
        if cursor is not None and cursor.timestamp_ns is not None and is_storable(cursor.task_id):
            at = _EPOCH + timedelta(microseconds=cursor.timestamp_ns // 1000)
            return store.Position(at, cursor.task_id)
    except OverflowError:
        pass
    raise InvalidParamsError("pageToken is not one of this agent's; take nextPageToken as it was given")
