"""Whatever is sent to the routes of the OpenAPI document is answered as the document says."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import positive_data_acceptance
from schemathesis.schemas import APIOperation, BaseSchema

from tests.contract.background import BackgroundAgent, background_agent, some

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
AnyCase: TypeAlias = Case[Any]

EXAMPLES = 3
"""How many requests of each kind, as documented and not, are made to each operation."""

STATES: dict[str, dict[str, Any]] = {
    "with threads": {},
    "memory disabled": {"memory_enabled": False},
    "without an agent id": {"agent_id": None},
}

THREADS = ("first", "sécond/ thread", "%2F")
AGENTS = ("test-agent", "another-agent")

HEALTH_ROUTES = ("/healthz", "/readyz", "/metrics")


# The agent's own threads may use it while hypothesis looks.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")


@pytest.fixture(params=STATES)
def agent(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[BackgroundAgent]:
    state = STATES[request.param]
    with background_agent(tmp_path, database_url, internal_runtime_control_enabled=True, **state) as agent:
        yield agent


def test_every_route_answers_as_the_document_says(
    agent: BackgroundAgent, caplog: pytest.LogCaptureFixture
) -> None:
    schema = schemathesis.openapi.from_url(f"{agent.url}/openapi.json")
    validate(schema.raw_schema)
    for operation in operations_of(schema):
        if "/threads" in operation.path:
            converse(agent)
        fuzz(operation, GenerationMode.POSITIVE)
        if [*operation.iter_parameters(), *operation.body]:
            fuzz(operation, GenerationMode.NEGATIVE)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def operations_of(schema: BaseSchema) -> list[Operation]:
    # What is an `Err` instead has no `ok`: the document is valid, so there is none.
    return [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]


def converse(agent: BackgroundAgent) -> None:
    """Sees to it that there are threads, as the operation before may have deleted them."""
    if agent.agent.runtime.memory_enabled and agent.agent.runtime.agent_id is not None:
        for thread_id in THREADS:
            agent.wait_for(agent.agent.ask, f"hello {thread_id}", thread_id)


def fuzz(operation: Operation, mode: GenerationMode) -> None:
    """Sends what the document allows, or something close to it that it does not."""
    strategy = operation.as_strategy(generation_mode=mode)
    if mode is GenerationMode.POSITIVE:
        strategy = strategy.flatmap(with_known_names)

    @given(strategy)
    @some(EXAMPLES)
    def check(case: AnyCase) -> None:
        case.call_and_validate(
            additional_checks=[answers_in_the_envelope],
            # Some rules are stricter than a schema can be: a cursor is one that was issued, an agent id of a
            # migration is this agent's own, a thread is there.
            excluded_checks=[positive_data_acceptance],
        )

    check()


def with_known_names(case: AnyCase) -> st.SearchStrategy[AnyCase]:
    """The case as it is, or with names of things that are there: what is made up rarely is."""

    def put(names: tuple[str, str, str]) -> AnyCase:
        thread_id, old_id, new_id = names
        if "thread_id" in case.path_parameters:
            case.path_parameters["thread_id"] = quote(thread_id, safe="")
        if isinstance(case.body, dict) and "old_id" in case.body:
            case.body |= {"old_id": old_id, "new_id": new_id}
        return case

    agents = st.sampled_from(AGENTS)
    return st.just(case) | st.tuples(st.sampled_from(THREADS), agents, agents).map(put)


def answers_in_the_envelope(context: CheckContext, response: Response, case: AnyCase) -> None:
    """The admin API's own promise: one shape for every answer, and no code that is not documented."""
    if case.operation.path in HEALTH_ROUTES or response.headers["content-type"] == ["application/x-ndjson"]:
        return
    content = response.json()
    assert list(content) == ["success", "data", "error"]
    assert content["success"] is (response.status_code < 400)
    assert response.headers["cache-control"] == ["no-store"]
    if content["success"]:
        assert content["error"] is None
        return
    assert content["data"] is None
    documented = case.operation.definition.raw["responses"][str(response.status_code)]["description"]
    assert content["error"]["code"] in documented.partition(": ")[2].split(", ")
    assert content["error"]["message"]
