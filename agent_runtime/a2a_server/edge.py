"""Where errors leave for the caller: in the protocol's own words, and without anything of ours in them."""

import functools
import inspect
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

from a2a.server.request_handlers.request_handler import validate_request_params
from a2a.utils.errors import (
    A2AError,
    InternalError,
    InvalidParamsError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from agent_runtime.a2a_server.limits import Overloaded, Paused, Stopping, TooMuchOfOne, note_refusal
from agent_runtime.errors import (
    AgentBusy,
    AgentError,
    AgentPaused,
    AgentStopping,
    BudgetSpent,
    CallerBusy,
    InvalidValue,
    KeyOfAnotherMessage,
    ThreadNotFound,
    ThreadNotOurs,
    ThreadOfAnotherCaller,
    ThreadWaitsForInput,
    TurnSuperseded,
)
from agent_runtime.turns.feed import FeedClosed
from groundwork.http.load import Busy
from groundwork.postgres.pool import DatabaseUnavailable

logger = logging.getLogger(__name__)

Method = TypeVar("Method", bound=Callable[..., Any])

ANSWERS: dict[type[AgentError], type[A2AError]] = {
    AgentError: InternalError,
    InvalidValue: InvalidParamsError,
    KeyOfAnotherMessage: InvalidParamsError,
    ThreadNotFound: TaskNotFoundError,
    ThreadNotOurs: InvalidParamsError,
    ThreadOfAnotherCaller: InvalidParamsError,
    ThreadWaitsForInput: UnsupportedOperationError,
    TurnSuperseded: TaskNotFoundError,
}


def guarded(method: Method) -> Method:
    """Checks the required fields of a method's parameters, and lets nothing but `A2AError` out of it."""
    validated = validate_request_params(method)
    if inspect.isasyncgenfunction(method):

        @functools.wraps(method)
        async def stream(*args: Any, **kwargs: Any) -> Any:
            try:
                async with aclosing(validated(*args, **kwargs)) as events:
                    async for event in events:
                        yield event
            except Exception as error:  # this is the edge: whatever it is, the caller gets an answer
                raise answer_for(error) from error

        return cast("Method", stream)

    @functools.wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return await validated(*args, **kwargs)
        except Exception as error:  # this is the edge: whatever it is, the caller gets an answer
            raise answer_for(error) from error

    return cast("Method", call)


def answer_for(error: Exception) -> A2AError:
    """What the caller is told. A bug is logged with its traceback and answered without its text."""
    if isinstance(error, A2AError):
        return error
    if isinstance(error, DatabaseUnavailable):
        logger.warning("A2A call failed, database unavailable: %s", error)
        return InternalError("the database cannot be used right now")
    if isinstance(error, FeedClosed):
        return Stopping("the agent is shutting down; the turn goes on, get the task in a moment")
    if isinstance(error, AgentPaused):
        return Paused(str(error))
    if isinstance(error, AgentStopping):
        return Stopping(str(error))
    if isinstance(error, BudgetSpent):
        return note_refusal(TooMuchOfOne(str(error), error.retry_seconds))
    if isinstance(error, CallerBusy):
        return note_refusal(TooMuchOfOne(str(error)))
    if isinstance(error, Busy | AgentBusy):
        return Overloaded(str(error))
    if isinstance(error, AgentError):
        return _known(error)
    logger.error("A2A call crashed", exc_info=error)
    return InternalError()


def _known(error: AgentError) -> A2AError:
    kind = next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)
    data = None
    if type(error) is ThreadNotOurs:
        return kind(
            f"context id {error.thread_id!r} is taken: it belongs to another agent with the same database; send"
            " the message without a contextId, or with another one"
        )
    if isinstance(error, ThreadWaitsForInput):
        data = {"taskId": error.task_id, "contextId": error.thread_id}
    return kind(str(error), data)
