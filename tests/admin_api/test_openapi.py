"""The OpenAPI document is valid, and says what the routes do."""

from typing import Any

import pytest
from fastapi import FastAPI
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from admin_api import MountedAgent, admin_router
from tests.admin_api.answers import data_of, error_of, like, serve
from tests.admin_api.conftest import Talk

THREADS = "/api/v1/memory/threads"

ROUTES = {
    "/status": {"get"},
    "/api/v1/status": {"get"},
    "/api/v1/card/url": {"get", "patch"},
    "/api/v1/memory/config": {"get", "patch"},
    "/api/v1/turns": {"get"},
    "/api/v1/turns/{task_id}": {"get"},
    "/api/v1/memory/threads/export": {"get"},
    "/api/v1/memory/threads/{thread_id}/export": {"get"},
    "/api/v1/usage": {"get"},
    "/api/v1/storage": {"get"},
    THREADS: {"get", "delete"},
    f"{THREADS}/{{thread_id}}": {"delete"},
    f"{THREADS}/{{thread_id}}/messages": {"get"},
    f"{THREADS}/{{thread_id}}/steps": {"get"},
    f"{THREADS}/{{thread_id}}/steps/{{checkpoint_id}}": {"get"},
    "/api/v1/memory/migrate-agent-id": {"post"},
}

REGISTRY_ROUTES = {
    "/api/v1/registry/metadata": {"get"},
    "/internal/runtime-metadata": {"get"},
    "/api/v1/registry/reload": {"post"},
    "/internal/reload": {"post"},
}


def document_of(agent: Any, **options: Any) -> dict[str, Any]:
    app = FastAPI()
    app.include_router(admin_router(agent, **options))
    return app.openapi()


@pytest.mark.parametrize("control", [False, True])
def test_the_document_is_valid_and_has_every_route(idle_agent: MountedAgent, control: bool) -> None:
    document = document_of(like(idle_agent, runtime_control_enabled=control))
    validate(document)
    routes = {path: set(operations) for path, operations in document["paths"].items()}
    assert routes == ROUTES | (REGISTRY_ROUTES if control else {})


def test_the_token_is_described_where_it_is_needed(idle_agent: MountedAgent) -> None:
    closed = document_of(idle_agent, token="t")
    operations = [operation for path in closed["paths"].values() for operation in path.values()]
    assert all(operation["security"] == [{"ADMIN_TOKEN": []}] for operation in operations)
    assert all("401" in operation["responses"] for operation in operations)
    for path in (opened := document_of(idle_agent)["paths"]).values():
        assert all(operation["security"] == [{"ADMIN_TOKEN": []}, {}] for operation in path.values())
    assert "401" not in opened["/status"]["get"]["responses"]


def test_bodies_and_parameters_are_described_as_they_are_checked(idle_agent: MountedAgent) -> None:
    paths = document_of(idle_agent)["paths"]
    changes = paths["/api/v1/memory/config"]["patch"]["requestBody"]["content"]["application/json"]["schema"]
    assert changes["additionalProperties"] is False
    assert changes["minProperties"] == 1
    assert changes["properties"]["window_size"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 10_000,
        "description": "an integer from 1 to 10000",
    }
    limit, cursor, states = paths[THREADS]["get"]["parameters"]
    assert (limit["name"], limit["required"], limit["schema"]["maximum"]) == ("limit", False, 1000)
    assert (cursor["name"], cursor["required"]) == ("cursor", False)
    assert (states["name"], states["required"]) == ("states", False)
    thread_id, *_ = paths[f"{THREADS}/{{thread_id}}/messages"]["get"]["parameters"]
    assert (thread_id["name"], thread_id["in"], thread_id["required"]) == ("thread_id", "path", True)


async def test_answers_have_the_shape_that_the_document_promises(agent: MountedAgent, talk: Talk) -> None:
    await talk(agent, "t")
    document = document_of(agent)

    def conforms(answer: Any, path: str, method: str) -> None:
        responses = document["paths"][path][method]["responses"]
        schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
        OAS31Validator({**schema, "components": document["components"]}).validate(answer.json())

    async with serve(agent) as client:
        for path in ("/status", "/api/v1/card/url", "/api/v1/memory/config", THREADS):
            answer = await client.get(path)
            data_of(answer)
            conforms(answer, path, "get")
        conforms(await client.get(THREADS, params={"limit": 1}), THREADS, "get")
        conforms(await client.get(f"{THREADS}/t/messages"), f"{THREADS}/{{thread_id}}/messages", "get")
        refused = await client.get(f"{THREADS}/none/messages", params={"limit": 0})
        error_of(refused)
        conforms(refused, f"{THREADS}/{{thread_id}}/messages", "get")
        conforms(await client.delete(f"{THREADS}/t"), f"{THREADS}/{{thread_id}}", "delete")
        conforms(await client.delete(f"{THREADS}/t"), f"{THREADS}/{{thread_id}}", "delete")
        conforms(await client.delete(THREADS, params={"all": "true"}), THREADS, "delete")
        conforms(await client.patch("/api/v1/card/url", json={"url": "http://h/"}), "/api/v1/card/url", "patch")
