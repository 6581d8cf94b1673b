"""Who may call which route of a registry. A route that is not here fails a test, and so does one that is gone.

`docs/security.md` shows the same table, and a test keeps the two together.
"""

from typing import Literal

from registry.access import Role

Who = Literal["everybody", "every role", "developers and operators", "operators", "operators of `default`"]

ROLES_OF: dict[Who, tuple[Role, ...]] = {
    "everybody": ("viewer", "reviewer", "developer", "operator"),
    "every role": ("viewer", "reviewer", "developer", "operator"),
    "developers and operators": ("developer", "operator"),
    "operators": ("operator",),
    "operators of `default`": (),
}
"""The roles that are let in, of whichever tenant."""

WHO: dict[str, Who] = {
    "GET /health": "everybody",
    "GET /healthz": "everybody",
    "GET /readyz": "everybody",
    "GET /metrics": "everybody",
    "GET /openapi.json": "everybody",
    "GET /.well-known/did.json": "everybody",
    "GET /did.json": "everybody",
    "GET /.well-known/jwks.json": "everybody",
    "GET /agents": "every role",
    "GET /agents/search": "every role",
    "GET /agents/{agent_id}": "every role",
    "GET /agents/{agent_id}/trace": "every role",
    "GET /agents/{agent_id}/admin/{path:path}": "every role",
    "GET /artifacts/{digest}": "every role",
    "GET /audit": "every role",
    "GET /components": "every role",
    "GET /components/{kind}/{component_id}": "every role",
    "GET /components/{kind}/{component_id}/status": "every role",
    "GET /components/{kind}/{component_id}/versions": "every role",
    "POST /components/resolve": "every role",
    "GET /cron": "every role",
    "GET /executions": "every role",
    "GET /executions/{execution_id}": "every role",
    "GET /executions/{execution_id}/approvals": "every role",
    "GET /executions/{execution_id}/events": "every role",
    "GET /workers": "every role",
    "GET /workflows": "every role",
    "GET /workflows/{workflow_id}": "every role",
    "POST /agents": "developers and operators",
    "POST /agents/discover": "developers and operators",
    "POST /agents/{agent_id}/activate": "developers and operators",
    "POST /agents/{agent_id}/deactivate": "developers and operators",
    "POST /agents/{agent_id}/heartbeat": "developers and operators",
    "POST /agents/{agent_id}/pause": "developers and operators",
    "DELETE /agents/{agent_id}": "developers and operators",
    "POST /agents/{agent_id}/admin/{path:path}": "developers and operators",
    "PUT /agents/{agent_id}/admin/{path:path}": "developers and operators",
    "PATCH /agents/{agent_id}/admin/{path:path}": "developers and operators",
    "POST /artifacts": "developers and operators",
    "PUT /agents/{agent_id}/components": "developers and operators",
    "PUT /components/{kind}/{component_id}": "developers and operators",
    "POST /components/{kind}/{component_id}/rollback": "developers and operators",
    "DELETE /components/{kind}/{component_id}": "developers and operators",
    "POST /cron": "developers and operators",
    "DELETE /cron/{name}": "developers and operators",
    "POST /executions": "developers and operators",
    "POST /executions/{execution_id}/approve": "developers and operators",
    "POST /executions/{execution_id}/cancel": "developers and operators",
    "POST /executions/{execution_id}/external-event": "developers and operators",
    "POST /work-items/claim": "developers and operators",
    "POST /work-items/{work_item_id}/complete": "developers and operators",
    "POST /work-items/{work_item_id}/fail": "developers and operators",
    "POST /work-items/{work_item_id}/heartbeat": "developers and operators",
    "POST /workflows": "developers and operators",
    "GET /tenants": "operators",
    "GET /tenants/{tenant_id}": "operators",
    "GET /tokens": "operators",
    "GET /tokens/{token_id}": "operators",
    "DELETE /agents/{agent_id}/admin/{path:path}": "operators",
    "POST /tokens": "operators",
    "DELETE /tokens/{token_id}": "operators",
    "POST /keys/rotate": "operators of `default`",
    "POST /tenants": "operators of `default`",
    "PUT /tenants/{tenant_id}": "operators of `default`",
    "DELETE /tenants/{tenant_id}": "operators of `default`",
}
