"""A request that its caller may send again, and what it was answered."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.access import Principal

Answer = Mapping[str, str]


@dataclass(frozen=True)
class RequestKey:
    """The name of a request, of its caller and route alone. `digest` is of what is sent: the same each time."""

    key: bytes
    digest: bytes

    @classmethod
    def of(cls, principal: Principal, route: str, named: str, body: Any) -> "RequestKey":
        """Return the key of the request that the caller has named so. `body` is the JSON that was sent, in which
        neither blanks nor the order of fields matter."""
        scope = json.dumps([principal.tenant_id, principal.actor_type, principal.actor_id, route, named])
        return cls(_sha256(scope), _sha256(json.dumps(body, sort_keys=True)))


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
