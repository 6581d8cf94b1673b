"""Many small calls made as few large ones, where each has a price of its own, as a statement to a database has."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batches(Generic[Item, Answer]):
    """Asks for an item as soon as it comes, and for those that come meanwhile together, once that is answered. Who
    is alone waits for nobody, and under load the calls get larger instead of more; an answer is never older than
    the question.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        most: int = 500,
        pause: float = 0.0,
    ) -> None:
        """`ask` answers items in their order; what it raises, each of those who asked is told. After a call for
        several, `pause` seconds go by before the next, so that more come together."""
        self._ask = ask
        self._most = most
        self._pause = pause
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._work: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Answer:
        """A caller that is cancelled takes nothing back."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer_all(), name="batches")
        return await answer

    async def _answer_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            items, futures = zip(*batch, strict=True)
            # gather() makes an exception a value, so that nobody is left waiting whatever it is.
            (answers,) = await asyncio.gather(self._ask(items), return_exceptions=True)
            for place, future in enumerate(futures):
                if future.done():
                    continue  # its caller waits no longer
                if isinstance(answers, BaseException):
                    future.set_exception(answers)
                else:
                    future.set_result(answers[place])
            if len(batch) > 1:
                await asyncio.sleep(self._pause)
