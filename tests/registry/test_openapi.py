"""Whatever is sent to the routes of the registry's OpenAPI document is answered as the document says."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import CheckFunction, not_a_server_error, positive_data_acceptance
from schemathesis.schemas import APIOperation

from tests.contract.background import some
from tests.processes import free_port
from tests.registry.registries import Served, running_registry
from tests.registry.walks import NEEDS_NO_TOKEN

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
AnyCase: TypeAlias = Case[Any]

EXAMPLES = 4
"""How many requests of each kind, as documented and not, are made to each operation."""

KNOWN = {
    "agent_id": ("first", "sécond%agent"),
    "tenant_id": ("acme",),
    "kind": ("prompt", "agent"),
    "component_id": ("first",),
    "uri": ("http://agent.test",),
    "url": (f"http://127.0.0.1:{free_port()}",),
}

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")


@dataclass(frozen=True)
class BackgroundRegistry:
    """A served registry whose event loop runs in a thread of its own."""

    served: Served
    portal: BlockingPortal

    def post(self, path: str, body: dict[str, Any]) -> None:
        self._call("POST", path, body)

    def put(self, path: str, body: dict[str, Any]) -> None:
        self._call("PUT", path, body)

    def _call(self, method: str, path: str, body: dict[str, Any]) -> None:
        async def call() -> None:
            await self.served.http.request(method, path, json=body)

        self.portal.call(call)


@pytest.fixture
def registry_beside(registry_dsn: str) -> Iterator[BackgroundRegistry]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running_registry(registry_dsn)) as served,
    ):
        yield BackgroundRegistry(served, portal)


async def test_the_document_names_the_token_wherever_one_is_asked_for(registry: Served) -> None:
    document = (await registry.http.get("/openapi.json")).json()
    validate(document)
    assert document["components"]["securitySchemes"]["token"] == {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the registry",
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation.get("security") == (None if path in NEEDS_NO_TOKEN else [{"token": []}]), path


async def test_every_noun_is_in_the_document(registry: Served) -> None:
    document = (await registry.http.get("/openapi.json")).json()
    nouns = {path.split("/")[1] for path in document["paths"]}
    assert nouns >= {"agents", "audit", "tenants", "tokens", "workers", ".well-known", "health", "metrics"}


def test_every_route_answers_as_the_document_says(
    registry_beside: BackgroundRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    schema = schemathesis.openapi.from_url(f"{registry_beside.served.url}/openapi.json")
    for found in schema.get_all_operations():
        # What is an `Err` instead has no `ok`: the document is valid, so there is none.
        operation: Operation = found.ok()  # type: ignore[union-attr]
        make_what_is_known(registry_beside)
        fuzz(operation, GenerationMode.POSITIVE, registry_beside.served.token)
        if [*operation.iter_parameters(), *operation.body]:
            fuzz(operation, GenerationMode.NEGATIVE, registry_beside.served.token)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def make_what_is_known(registry: BackgroundRegistry) -> None:
    """Sees to it that there are agents, a tenant and a prompt, as the operation before may have deleted them."""
    registry.post("/tenants", {"id": "acme", "name": "Acme"})
    for agent_id in KNOWN["agent_id"]:
        registry.post("/agents", {"id": agent_id, "uri": "http://agent.test", "name": agent_id})
    registry.put("/components/prompt/first", {"template": "Hello"})


def fuzz(operation: Operation, mode: GenerationMode, token: str) -> None:
    """Sends what the document allows, or something close to it that it does not."""
    strategy = operation.as_strategy(generation_mode=mode)
    if mode is GenerationMode.POSITIVE:
        strategy = strategy.flatmap(with_known_names)

    @given(strategy)
    @some(EXAMPLES)
    def check(case: AnyCase) -> None:
        case.call_and_validate(
            headers={"Authorization": f"Bearer {token}"},
            additional_checks=[answers_in_the_registrys_shape],
            excluded_checks=checks_that_do_not_hold(operation),
        )

    check()


def checks_that_do_not_hold(operation: Operation) -> list[CheckFunction]:
    """Some rules are stricter than a schema can be: an id is of something that is there. And 502 is the answer
    when an agent that is to be discovered gives none."""
    return [positive_data_acceptance, *([not_a_server_error] if operation.path == "/agents/discover" else [])]


def with_known_names(case: AnyCase) -> st.SearchStrategy[AnyCase]:
    """The case as it is, or with names of things that are there: what is made up rarely is."""

    def put(names: dict[str, str]) -> AnyCase:
        for name in case.path_parameters.keys() & names.keys():
            case.path_parameters[name] = quote(names[name], safe="")
        if isinstance(case.body, dict):
            case.body |= {name: names[name] for name in case.body.keys() & names.keys()}
        return case

    names = st.fixed_dictionaries({name: st.sampled_from(known) for name, known in KNOWN.items()})
    return st.just(case) | names.map(put)


def answers_in_the_registrys_shape(context: CheckContext, response: Response, case: AnyCase) -> None:
    """One shape for every failure, and none of them the registry's own fault."""
    assert response.status_code not in (500, 503)
    if response.status_code >= 400:
        content = response.json()
        assert list(content) == ["error"]
        assert content["error"]
