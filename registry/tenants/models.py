"""Tenants as they are stored, shown and asked for, and what limits there are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from typing_extensions import TypedDict

from registry.checks import Body, Limit, Name, Offset, Query
from registry.times import rfc3339

Status = Literal["active", "suspended", "archived"]

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def is_tenant_id(text: str) -> bool:
    """Whether a tenant can be called so."""
    return _ID.fullmatch(text) is not None


def _check_tenant_id(text: str) -> str:
    if not is_tenant_id(text):
        raise ValueError("accepted: 1 to 63 lower-case letters, digits, - and _, the first a letter or a digit")
    return text


TenantId = Annotated[
    str, AfterValidator(_check_tenant_id), WithJsonSchema({"type": "string", "pattern": f"^{_ID.pattern}$"})
]


@dataclass(frozen=True)
class Limits:
    """How much a tenant may have of something; None: as much as it likes. Just these limits are enforced."""

    max_agents: int | None = None
    executions_per_minute: int | None = None
    max_concurrent_executions: int | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """From the limits as they are stored, which may hold others as well."""
        return cls(**{name: stored.get(name) for name in ENFORCED})


ENFORCED = tuple(field.name for field in fields(Limits))


@dataclass(frozen=True)
class Tenant:
    """A tenant that is not deleted."""

    tenant_id: str
    name: str
    status: Status
    policy: dict[str, Any]
    limits: dict[str, int | float]
    """As they were given: those of `Limits`, and those that are only kept."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class TenantPage:
    """Some of the tenants there are; `total` is how many there are."""

    tenants: list[Tenant]
    total: int


class ShownTenant(TypedDict):
    id: str
    tenant_id: str
    name: str
    status: Status
    policy: dict[str, Any]
    limits: dict[str, int | float]
    limits_not_enforced: list[str]
    created_at: str
    updated_at: str


def show_tenant(tenant: Tenant) -> ShownTenant:
    """A tenant as it stands in answers. A limit that nobody enforces is named, so that nobody counts on it."""
    return ShownTenant(
        id=tenant.tenant_id,
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        status=tenant.status,
        policy=tenant.policy,
        limits=tenant.limits,
        limits_not_enforced=sorted(set(tenant.limits).difference(ENFORCED)),
        created_at=rfc3339(tenant.created_at),
        updated_at=rfc3339(tenant.updated_at),
    )


Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class GivenLimits(Body):
    """A limit that is null or left out is none. An unknown one is refused, since nobody would keep to it."""

    model_config = ConfigDict(extra="forbid")

    max_agents: Count | None = None
    executions_per_minute: Count | None = None
    max_concurrent_executions: Count | None = None
    # JamJet's, which it does not enforce either.
    max_workflows: Count | None = None
    max_tokens_per_month: Count | None = None
    max_cost_per_month_usd: Annotated[float, Field(ge=0, le=1e12)] | None = None

    def given(self) -> dict[str, int | float]:
        return self.model_dump(exclude_none=True)


class NewTenant(Body):
    id: TenantId
    name: Name | None = None
    policy: dict[str, Any] | None = None
    limits: GivenLimits | None = None


class TenantChanges(Body):
    """What is left out, or null, stays as it is. Limits and policy are replaced as a whole."""

    name: Name | None = None
    status: Status | None = None
    policy: dict[str, Any] | None = None
    limits: GivenLimits | None = None


class TenantsQuery(Query):
    limit: Limit = 100
    offset: Offset = 0
