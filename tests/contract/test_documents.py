"""The OpenAPI documents of both services are such that generators make good clients of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.agents import running_agent, write_project
from tests.registry.registries import Served

BEARERS = {"agent": "ADMIN_TOKEN", "registry": "token"}

NO_JSON = frozenset(
    {
        "GET /metrics",
        "GET /artifacts/{digest}",
        "GET /api/v1/memory/threads/export",
        "GET /api/v1/memory/threads/{thread_id}/export",
    }
)
"""Routes that answer with something else."""

Operation = tuple[str, dict[str, Any]]


@pytest.fixture(params=["agent", "registry"])
async def document(request: pytest.FixtureRequest, tmp_path: Path, database_url: str, registry: Served) -> Any:
    if request.param == "registry":
        found = (await registry.http.get("/openapi.json")).json()
    else:
        settings: dict[str, Any] = {"internal_runtime_control_enabled": True}
        async with running_agent(write_project(tmp_path), database_url, **settings) as agent:
            found = (await agent.http.get("/openapi.json")).json()
    validate(found)
    assert found["components"]["securitySchemes"][BEARERS[request.param]]["scheme"] == "bearer"
    return found


async def test_a_document_names_what_clients_are_made_of(document: Any) -> None:
    names = [operation["operationId"] for _, operation in operations_of(document)]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch("[a-z]+(_[a-z]+)*", name)] == []
    assert [name for name in document["components"]["schemas"] if not re.fullmatch("[A-Z][A-Za-z]+", name)] == []
    for where, operation in operations_of(document):
        errors = {schema_of(answer) for status, answer in operation["responses"].items() if is_failure(status)}
        assert errors <= {"Error", "Unreadiness"}, where
        answers = {
            schema_of(answer) for status, answer in operation["responses"].items() if status in ("200", "201")
        }
        assert answers - {None} or where in NO_JSON, where
        if "application/json" in (content := operation.get("requestBody", {}).get("content", {})):
            schema = content["application/json"]["schema"]
            assert "$ref" in schema or all("$ref" in choice for choice in schema["anyOf"]), where
    assert list(inline_enums(document["paths"])) == []
    schemas = [schema for schema in document["components"]["schemas"].values() if "enum" not in schema]
    assert list(inline_enums(schemas)) == []


def operations_of(document: Any) -> Iterator[Operation]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


def is_failure(status: str) -> bool:
    return status == "default" or status >= "400"


def schema_of(answer: Any) -> str | None:
    """The name of what is answered; None where it is not JSON, or has none."""
    reference = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
    return reference and str(reference).rpartition("/")[2]


def inline_enums(node: Any) -> Iterator[list[Any]]:
    """Enums, wherever they stand."""
    values = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    if isinstance(node, dict) and isinstance(node.get("enum"), list):
        yield node["enum"]
    for value in values:
        yield from inline_enums(value)
