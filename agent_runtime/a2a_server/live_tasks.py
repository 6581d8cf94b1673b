"""What this process knows by heart of the tasks whose turns it has."""

from collections import OrderedDict
from dataclasses import dataclass

from a2a.types import Task

_MOST_ACCOUNTS = 1024


@dataclass
class LiveTask:
    """A task as its turn has left it so far, so that each write needs one statement and no reading.

    It runs ahead of the database by what the open transaction has written; should that be rolled back, the
    version no longer fits, the next write is refused for it, and the live_task is read anew.

    `told` says that the caller may know the task's id, by whichever way: then the task must outlive a bare
    reply. Only this process remembers it. An live_task that had to be read anew counts as told, because to
    keep a task nobody asks for does no harm, and to delete one that somebody asks for does.
    """

    attempt: int
    task: Task
    version: int
    told: bool = True


class LiveTasks:
    """The live_tasks by task id. Those written longest ago are given up first; they can be read anew."""

    def __init__(self) -> None:
        self._live_tasks: OrderedDict[str, LiveTask] = OrderedDict()

    def put(self, live_task: LiveTask) -> None:
        self._live_tasks[live_task.task.id] = live_task
        self._live_tasks.move_to_end(live_task.task.id)
        while len(self._live_tasks) > _MOST_ACCOUNTS:
            self._live_tasks.popitem(last=False)

    def find(self, task_id: str, attempt: int) -> LiveTask | None:
        live_task = self._live_tasks.get(task_id)
        if live_task is None or live_task.attempt != attempt:
            return None
        self._live_tasks.move_to_end(task_id)
        return live_task

    def drop(self, task_id: str) -> None:
        self._live_tasks.pop(task_id, None)

    def runs_here(self, task_id: str) -> bool:
        return task_id in self._live_tasks

    def tell(self, task_id: str) -> None:
        """The caller is about to learn of the task."""
        if (live_task := self._live_tasks.get(task_id)) is not None:
            live_task.told = True

    def is_told(self, task_id: str) -> bool:
        live_task = self._live_tasks.get(task_id)
        return live_task is None or live_task.told
