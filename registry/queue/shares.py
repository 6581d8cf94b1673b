"""Whose jobs a worker has in hand, and whose turn is next."""

from collections import Counter, OrderedDict
from collections.abc import Sequence

NOBODY = ""
"""The tenant of jobs that are nobody's in particular, and take no time."""

_TENANTS_KEPT = 1000


class Shares:
    """Of `most_of_one` jobs in hand a tenant is full, unless it is alone; None: tenants have no bound."""

    def __init__(self) -> None:
        self.most_of_one: int | None = None
        self._jobs: dict[int, str] = {}
        self._served: OrderedDict[str, None] = OrderedDict()

    @property
    def in_hand(self) -> set[int]:
        """The jobs that were taken and have not ended."""
        return set(self._jobs)

    @property
    def order(self) -> Sequence[str]:
        """The tenants whose jobs were taken lately, the latest last."""
        return list(self._served)

    @property
    def full(self) -> Sequence[str]:
        """The tenants that have as much in hand as they may, when there are others."""
        most = self.most_of_one
        counts = Counter(self._jobs.values())
        return [] if most is None else [one for one, jobs in counts.items() if one != NOBODY and jobs >= most]

    def take(self, job_id: int, tenant_id: str) -> None:
        self._jobs[job_id] = tenant_id
        self._served[tenant_id] = None
        self._served.move_to_end(tenant_id)
        while len(self._served) > _TENANTS_KEPT:
            self._served.popitem(last=False)

    def end(self, job_id: int) -> None:
        self._jobs.pop(job_id, None)
