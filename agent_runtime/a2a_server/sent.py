"""A message that was sent, now or before, and what follows of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from a2a.types import Message
from a2a.utils.errors import TaskNotFoundError

from agent_runtime.a2a_server.tasks import TaskEvent
from agent_runtime.turns.feed import Follower


@dataclass
class Sent:
    """A message's task, and what follows of it. `holds` says that the task may turn out to be a bare message yet.
    Of a message that was sent before, `find_answer` finds the bare message it was answered with."""

    follower: Follower[TaskEvent]
    task_id: str
    thread_id: str
    holds: bool = False
    find_answer: Callable[[], Awaitable[Message | None]] | None = None

    async def next(self, timeout: float | None = None) -> TaskEvent | None:
        """Return the next event; `None` when `timeout` seconds bring none. Raises as `Follower.next` does."""
        try:
            return await self.follower.next(timeout)
        except TaskNotFoundError:
            answer = await self.find_answer() if self.find_answer is not None else None
            if answer is None:
                raise
            return TaskEvent(self.follower.newest + 1, answer)
