"""Who may call which route of an agent that has tokens. A route that is not here fails a test, and so does one
that is gone.

`docs/security.md` shows the same table, and a test keeps the two together.
"""

from typing import Literal

Who = Literal["everybody", "callers with a token of `A2A_TOKENS`", "the holder of `ADMIN_TOKEN`"]

EVERYBODY: Who = "everybody"
CALLERS: Who = "callers with a token of `A2A_TOKENS`"
ADMIN: Who = "the holder of `ADMIN_TOKEN`"

WHO: dict[str, Who] = {
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /metrics": EVERYBODY,
    "GET /openapi.json": EVERYBODY,
    "GET /.well-known/agent-card.json": EVERYBODY,
    "GET /.well-known/agent.json": EVERYBODY,
    "POST /": CALLERS,
    "POST /a2a/message:send": CALLERS,
    "POST /a2a/message:stream": CALLERS,
    "GET /a2a/tasks": CALLERS,
    "GET /a2a/tasks/{id}": CALLERS,
    "POST /a2a/tasks/{id}:cancel": CALLERS,
    "GET /a2a/tasks/{id}:subscribe": CALLERS,
    "POST /a2a/tasks/{id}:subscribe": CALLERS,
    "GET /a2a/tasks/{id}/pushNotificationConfigs": CALLERS,
    "POST /a2a/tasks/{id}/pushNotificationConfigs": CALLERS,
    "GET /a2a/tasks/{id}/pushNotificationConfigs/{push_id}": CALLERS,
    "DELETE /a2a/tasks/{id}/pushNotificationConfigs/{push_id}": CALLERS,
    "GET /a2a/extendedAgentCard": CALLERS,
    "GET /status": ADMIN,
    "GET /api/v1/status": ADMIN,
    "GET /api/v1/card/url": ADMIN,
    "PATCH /api/v1/card/url": ADMIN,
    "GET /api/v1/memory/config": ADMIN,
    "PATCH /api/v1/memory/config": ADMIN,
    "GET /api/v1/memory/threads": ADMIN,
    "DELETE /api/v1/memory/threads": ADMIN,
    "DELETE /api/v1/memory/threads/{thread_id}": ADMIN,
    "GET /api/v1/memory/threads/{thread_id}/messages": ADMIN,
    "GET /api/v1/turns": ADMIN,
    "GET /api/v1/turns/{task_id}": ADMIN,
    "GET /api/v1/usage": ADMIN,
    "POST /api/v1/memory/migrate-agent-id": ADMIN,
    "GET /api/v1/registry/metadata": ADMIN,
    "POST /api/v1/registry/reload": ADMIN,
    "GET /internal/runtime-metadata": ADMIN,
    "POST /internal/reload": ADMIN,
}

# Answered with the mistake that they are: a thread id that was forgotten, a path that nothing is at.
MISTAKES: dict[str, Who] = {
    "DELETE /api/v1/memory/threads/": ADMIN,
    "GET /api/v1/memory/threads//messages": ADMIN,
    "GET /internal/reload": ADMIN,
    "GET /api/v1": ADMIN,
    "GET /api/v1/{rest:path}": ADMIN,
}
