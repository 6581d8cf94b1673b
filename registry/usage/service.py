"""What a tenant's agents and executions have used, for those who ask what all of it costs."""

from typing import Any

from groundwork.postgres.pool import Pool, connection
from registry.access import Principal
from registry.usage import store
from registry.usage.models import DEFAULT_DAYS, UsageQuery, describe_usage


class UsageSums:
    """The sums of all tenants; a principal sees its tenant's. Raises `DatabaseUnavailable`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def sum_usage(self, principal: Principal, query: UsageQuery) -> dict[str, Any]:
        """Return the sum of all, and the groups that the query wants."""
        async with connection(self._pool) as conn:
            since = query.since or await store.first_day(conn, DEFAULT_DAYS)
            tenant_id = principal.tenant_id
            found = await store.sum_usage(conn, tenant_id, query.by, since, query.until, query.limit)
        return describe_usage(query.by, since, query.until, found)
