"""What this process knows by heart of the tasks whose turns it has."""

from collections import OrderedDict
from dataclasses import dataclass

from a2a.types import Task

_MOST_ACCOUNTS = 1024


@dataclass
class Account:
    """A task as its turn has left it so far, so that each write needs one statement and no reading.

    It runs ahead of the database by what the open transaction has written; should that be rolled back, the
    version no longer fits, the next write is refused for it, and the account is read anew.

    `told` says that the caller may know the task's id, by whichever way: then the task must outlive a bare
    reply. Only this process remembers it. An account that had to be read anew counts as told, because to
    keep a task nobody asks for does no harm, and to delete one that somebody asks for does.
    """

    attempt: int
    task: Task
    version: int
    told: bool = True


class Accounts:
    """The accounts by task id. Those written longest ago are given up first; they can be read anew."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, Account] = OrderedDict()

    def put(self, account: Account) -> None:
        self._accounts[account.task.id] = account
        self._accounts.move_to_end(account.task.id)
        while len(self._accounts) > _MOST_ACCOUNTS:
            self._accounts.popitem(last=False)

    def find(self, task_id: str, attempt: int) -> Account | None:
        account = self._accounts.get(task_id)
        if account is None or account.attempt != attempt:
            return None
        self._accounts.move_to_end(task_id)
        return account

    def drop(self, task_id: str) -> None:
        self._accounts.pop(task_id, None)

    def runs_here(self, task_id: str) -> bool:
        return task_id in self._accounts

    def tell(self, task_id: str) -> None:
        """The caller is about to learn of the task."""
        if (account := self._accounts.get(task_id)) is not None:
            account.told = True

    def is_told(self, task_id: str) -> bool:
        account = self._accounts.get(task_id)
        return account is None or account.told
