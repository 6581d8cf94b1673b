"""Calls of an agent's admin API that come by its registry: what both sides have to agree on.

The registry signs a token for each call. It holds for a minute, for one agent of one tenant at one address, and
for one method and path, so whoever gets hold of it can do nothing else with it.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

ALGORITHM = "EdDSA"
TOKEN_SECONDS = 60
ACTOR = "admin_api.actor"
"""Where the scope of a request to the admin API says who makes it."""

API_ROOT = "/api/v1/"

Access = Literal["read", "decide", "write", "operate"]

_READING = ("GET", "HEAD", "OPTIONS")
_DECIDING = re.compile(r"decisions/[^/]+/*")
_OPERATING = re.compile(r"memory/migrate-agent-id/*|.*erasures?(/.*)?")

ROLES_FOR: dict[Access, tuple[str, ...]] = {
    "read": ("viewer", "reviewer", "developer", "operator"),
    "decide": ("reviewer", "developer", "operator"),
    "write": ("developer", "operator"),
    "operate": ("operator",),
}


@dataclass(frozen=True)
class Actor:
    """Who acts: by the registry, a person with a role in a tenant; directly, the holder of the token of that
    name."""

    name: str
    role: str = "operator"
    tenant_id: str | None = None


def access_of(method: str, path: str) -> Access:
    """Return what a call does; `path` is what follows `/api/v1/`, as it was sent or decoded."""
    if method in _READING:
        return "read"
    if method == "POST" and _DECIDING.fullmatch(path):
        return "decide"  # reviewers as far as their tenant's policy has it, which the registry knows
    is_operating = method == "DELETE" or _OPERATING.fullmatch(unquote(path))
    return "operate" if is_operating else "write"
