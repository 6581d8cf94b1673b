"""Jobs of the queue, as its table has them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StalledJob:
    """A job that a worker had in hand of which nothing is heard any more."""

    name: str
    queue: str
    lock: str | None
    arguments: dict[str, str]
