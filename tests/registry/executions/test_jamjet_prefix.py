"""The whole API is there a second time under `/jamjet`, and is documented once."""

import pytest

from tests.registry.executions.runs import TWO_STEPS, until
from tests.registry.walks import list_routes


async def test_an_execution_is_run_under_the_prefix(registry):
    http = await registry.client(registry.token)
    http.base_url = f"{registry.url}/jamjet"
    assert (await http.get("/health")).json()["status"] == "ok"
    assert (await http.post("/workflows", json={"ir": TWO_STEPS})).status_code == 201
    execution_id = (await http.post("/executions", json={"workflow_id": "test"})).json()["execution_id"]
    assert (await until(http, execution_id))["status"] == "completed"
    assert (await http.get("/executions")).json()["executions"][0]["id"] == execution_id


async def test_every_route_answers_the_same_under_the_prefix(registry):
    for route in await list_routes(registry.http):
        for path in [] if route.changes_something or "metrics" in route.path else route.paths("nobody"):
            plain, prefixed = await registry.http.get(path), await registry.http.get(f"/jamjet{path}")
            assert prefixed.status_code == plain.status_code, path


async def test_the_prefix_lets_nobody_in_without_a_token(registry):
    answer = await (await registry.client()).get("/jamjet/executions")
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid or expired token"})


@pytest.mark.parametrize("path", ["/jamjet", "/jamjets/executions", "/jamjet/jamjet/executions"])
async def test_what_is_not_under_the_prefix_is_not_found(registry, path):
    answer = await registry.http.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": f"not found: there is no {path}"})


async def test_no_route_is_documented_twice(registry):
    assert not [route for route in await list_routes(registry.http) if route.path.startswith("/jamjet")]


async def test_requests_under_the_prefix_are_counted_with_the_others(registry):
    await registry.http.get("/jamjet/executions")
    assert 'route="/executions"' in (await registry.http.get("/metrics")).text
