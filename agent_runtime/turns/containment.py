"""Keeps SystemExit, KeyboardInterrupt and GeneratorExit inside the turn whose code has raised them."""

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any

_is_contained: ContextVar[bool] = ContextVar("_is_contained", default=False)


_ENDS = (SystemExit, KeyboardInterrupt, GeneratorExit)


class GraphExited(RuntimeError):
    """A task of the graph has raised what would have ended the process, which is the cause of this."""

    def __init__(self, raised: BaseException) -> None:
        super().__init__(f"the graph's code raised {type(raised).__name__}({raised})")
        self.__cause__ = raised


@contextmanager
def contained() -> Iterator[None]:
    """Contain what the block's tasks raise, and the tasks that they begin, background ones included."""
    token = _is_contained.set(True)
    try:
        yield
    finally:
        _is_contained.reset(token)


def install_containment(loop: asyncio.AbstractEventLoop) -> None:
    """Make the loop's tasks respect `contained`, until it is closed.

    An event loop stops when a task ends in SystemExit or KeyboardInterrupt, and the process ends with it.
    LangGraph runs nodes, and nodes run tools, in tasks of their own, so the place to catch it is where tasks
    are made.
    """
    make = loop.get_task_factory()
    if not isinstance(make, _TaskFactory):
        loop.set_task_factory(_TaskFactory(make))


class _TaskFactory:
    def __init__(self, make: Any) -> None:
        self._make = make or _plain_task

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        context: Context | None = options.get("context")
        is_contained = _is_contained.get() if context is None else context.get(_is_contained, False)
        return self._make(loop, _Contained(coro) if is_contained else coro, **options)


def _plain_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(coro, loop=loop, **options)


class _Contained(Coroutine[Any, Any, Any]):
    """A coroutine as it is, but for these errors. Not an `async def` around it: one that is cancelled before it
    has begun would leave the inner one unawaited."""

    def __init__(self, coro: Any) -> None:
        self._coro = coro
        self.__name__ = getattr(coro, "__name__", type(coro).__name__)
        self.__qualname__ = getattr(coro, "__qualname__", self.__name__)

    def send(self, value: Any) -> Any:
        try:
            return self._coro.send(value)
        except _ENDS as error:
            raise GraphExited(error) from error

    def throw(self, *error: Any) -> Any:
        try:
            if isinstance(error[0], GeneratorExit):
                # What a thread has raised. As it is it would close the coroutine, instead of failing its `await`.
                return self._coro.throw(GraphExited(error[0]))
            return self._coro.throw(*error)
        except _ENDS as raised:
            raise GraphExited(raised) from raised

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._coro.__await__())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coro, name)  # `cr_frame` and the like, for whoever looks into a task
