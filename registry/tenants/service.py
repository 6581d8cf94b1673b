"""What can be done with tenants."""

from dataclasses import replace

from groundwork.postgres.pool import Pool, connection, transaction
from registry.access import PLATFORM_TENANT, Principal
from registry.audit.store import append_entry
from registry.errors import Conflict
from registry.tenants import store
from registry.tenants.models import NewTenant, Tenant, TenantChanges, TenantPage

_CHANGEABLE = ("name", "status", "policy", "limits")


class Tenants:
    """All tenants. The principals here are operators: one of the platform sees every tenant, and only such a one
    makes changes; one of another tenant sees its own, and the rest is not found.

    What is done to a tenant is in the platform's audit log, also when the tenant itself is no more.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create_tenant(self, principal: Principal, wanted: NewTenant) -> Tenant:
        """Raises `Conflict` when there is or was a tenant of that id."""
        name = wanted.id if wanted.name is None else wanted.name
        limits = wanted.limits.given() if wanted.limits else {}
        async with transaction(self._pool) as conn:
            tenant = await store.create_tenant(conn, wanted.id, name, wanted.policy or {}, limits)
            await append_entry(
                conn,
                principal,
                "tenant_created",
                _subject(tenant.tenant_id),
                name=tenant.name,
                policy=tenant.policy,
                limits=tenant.limits,
            )
        return tenant

    async def list_tenants(self, principal: Principal, limit: int | None = None, offset: int = 0) -> TenantPage:
        """In the order in which they were made."""
        async with connection(self._pool) as conn:
            tenants = await store.list_tenants(conn, principal.scope, limit, offset)
            return TenantPage(tenants, await store.count_tenants(conn, principal.scope))

    async def get_tenant(self, principal: Principal, tenant_id: str) -> Tenant:
        """Raises `NotFound`."""
        async with connection(self._pool) as conn:
            return await store.get_tenant(conn, principal.scope, tenant_id)

    async def update_tenant(self, principal: Principal, tenant_id: str, changes: TenantChanges) -> Tenant:
        """Raises `NotFound`, and `Conflict` for what the platform's own tenant cannot be."""
        if changes.status not in (None, "active"):
            _refuse_for_the_platform(tenant_id)
        async with transaction(self._pool) as conn:
            before = await store.lock_tenant(conn, tenant_id)
            after = await store.update_tenant(conn, _changed(before, changes))
            changed = _difference(before, after)
            await append_entry(conn, principal, "tenant_updated", _subject(tenant_id), changed=changed)
        return after

    async def delete_tenant(self, principal: Principal, tenant_id: str) -> None:
        """Deletes a tenant that is suspended or archived, and all it has but its audit log.

        Raises `NotFound`, and `Conflict` when the tenant is at work.
        """
        _refuse_for_the_platform(tenant_id)
        async with transaction(self._pool) as conn:
            tenant = await store.lock_tenant(conn, tenant_id)
            if tenant.status == "active":
                raise Conflict(f"tenant {tenant_id} is active; suspend or archive it first")
            deleted = await store.delete_tenant(conn, tenant_id)
            await append_entry(conn, principal, "tenant_deleted", _subject(tenant_id), deleted=deleted)


def _refuse_for_the_platform(tenant_id: str) -> None:
    if tenant_id == PLATFORM_TENANT:
        raise Conflict(f"tenant {tenant_id} manages all the others and stays active")


def _changed(tenant: Tenant, changes: TenantChanges) -> Tenant:
    return replace(
        tenant,
        name=tenant.name if changes.name is None else changes.name,
        status=tenant.status if changes.status is None else changes.status,
        policy=tenant.policy if changes.policy is None else changes.policy,
        limits=tenant.limits if changes.limits is None else changes.limits.given(),
    )


def _difference(before: Tenant, after: Tenant) -> dict[str, object]:
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in _CHANGEABLE}
    return {name: {"from": old, "to": new} for name, (old, new) in pairs.items() if old != new}


def _subject(tenant_id: str) -> str:
    return f"tenant:{tenant_id}"
