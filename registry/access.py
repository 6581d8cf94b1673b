"""Who is asking, and what they may do."""

from dataclasses import dataclass
from typing import Literal, get_args

from registry.errors import Forbidden

Role = Literal["operator", "developer", "reviewer", "viewer"]
ROLES: tuple[Role, ...] = get_args(Role)

PLATFORM_TENANT = "default"
"""The tenant whose operators manage all tenants."""

_WRITERS = ("operator", "developer")


@dataclass(frozen=True)
class Principal:
    """Whoever makes a request or gives a command, as the audit log names them. All they see is their tenant's."""

    tenant_id: str
    role: Role
    actor_id: str
    actor_type: Literal["token", "system", "developer-mode"] = "token"

    @property
    def is_platform_operator(self) -> bool:
        return self.role == "operator" and self.tenant_id == PLATFORM_TENANT

    @property
    def scope(self) -> str | None:
        """The tenant that an operator has to do with; None: every tenant."""
        return None if self.is_platform_operator else self.tenant_id

    def require_writer(self) -> None:
        """Raises `Forbidden`."""
        if self.role not in _WRITERS:
            raise Forbidden("insufficient role — developer or operator required")

    def require_operator(self) -> None:
        """Raises `Forbidden`."""
        if self.role != "operator":
            raise Forbidden("insufficient role — operator required")

    def require_operator_of(self, tenant_id: str) -> None:
        """An operator of the tenant itself or of the platform. Raises `Forbidden`."""
        self.require_operator()
        if tenant_id != self.tenant_id:
            self.require_platform_operator()

    def require_platform_operator(self) -> None:
        """Raises `Forbidden`."""
        if not self.is_platform_operator:
            raise Forbidden(f"insufficient role — operator of tenant {PLATFORM_TENANT} required")


COMMAND_LINE = Principal(PLATFORM_TENANT, "operator", "cli", "system")
"""Whoever can open the registry's database may do everything; the audit log says that it was from there."""

DEVELOPER = Principal(PLATFORM_TENANT, "operator", "dev", "developer-mode")
"""Everybody, in developer mode."""
