"""What can be asked about workers."""

from groundwork.postgres.pool import Pool, connection
from registry.access import Principal
from registry.workers import store
from registry.workers.models import Worker

_MOST_SHOWN = 1000


class Workers:
    """The workers of all tenants, and the registry's own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list_workers(self, principal: Principal) -> list[Worker]:
        """Those that work for the principal's tenant: its own, and the registry's."""
        async with connection(self._pool) as conn:
            return await store.list_workers(conn, principal.tenant_id, _MOST_SHOWN)
