"""Whatever is sent to the routes of the registry's OpenAPI document is answered as the document says."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import (
    CheckFunction,
    negative_data_rejection,
    not_a_server_error,
    positive_data_acceptance,
)
from schemathesis.schemas import APIOperation, BaseSchema

from tests.contract.background import some
from tests.processes import free_port
from tests.registry.engine import workflows
from tests.registry.executions.runs import REVIEW, TWO_STEPS, start, until
from tests.registry.registries import Served, running_registry
from tests.registry.walks import NEEDS_NO_TOKEN, body_of, resolved
from tests.registry.work_items.test_work_items import FN, claim

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
AnyCase: TypeAlias = Case[Any]
Names: TypeAlias = Mapping[str, tuple[Any, ...]]

EXAMPLES = 3
"""How many requests of each kind, as documented and not, are made to each operation."""

REVIEWED = REVIEW | {"workflow_id": "reviewed"}
PRICED = workflows.document({"price": FN}, [], workflow_id="priced")

KNOWN: Names = {
    "agent_id": ("first", "sécond%agent"),
    "label": ("team=billing",),
    "incarnation": ("one",),
    "tenant_id": ("acme",),
    "tenant": ("acme",),
    "kind": ("prompt", "agent"),
    "component_id": ("first",),
    "uri": ("http://agent.test",),
    "url": (f"http://127.0.0.1:{free_port()}",),
    "workflow_id": ("reviewed", "priced"),
    "workflow_version": ("1.0.0",),
    "ir": (REVIEWED, PRICED),
    "node_id": ("review",),
    "queue_types": (["python_tool"],),
    "lease_fence": (1,),
    "template": ("Hello",),
    "name": ("nightly",),
    "expires": ("30d", 3600),
    "cron_expression": ("0 3 29 2 *",),
}
"""What things are called, and what goes with it, where a test can choose."""

NEVER_SUCCEEDS = {"POST /agents/discover"}
"""There is no agent to be discovered."""

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")


@dataclass(frozen=True)
class BackgroundRegistry:
    """A served registry whose event loop runs in a thread of its own."""

    served: Served
    portal: BlockingPortal

    @property
    def headers(self) -> dict[str, str]:
        """Those of somebody who may do everything."""
        return {"Authorization": f"Bearer {self.served.token}"}


@pytest.fixture
def registry_beside(registry_dsn: str) -> Iterator[BackgroundRegistry]:
    """With a worker, so that executions come to where they wait for somebody."""
    opened = running_registry(registry_dsn, worker=True)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as served:
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
    failed = set()
    for found in document_of(registry_beside).get_all_operations():
        # What is an `Err` instead has no `ok`: the document is valid, so there is none.
        operation: Operation = found.ok()  # type: ignore[union-attr]
        if any(part in operation.path for part in ("/admin/", "/messages", "/tasks/")):
            continue  # answered by an agent, and there is none that runs
        names = registry_beside.portal.call(make_what_is_known, registry_beside.served, operation.path)
        statuses: set[int] = set()
        for examples in (EXAMPLES, 4 * EXAMPLES):  # by chance each of a few may have a name that is made up
            statuses |= fuzz(operation, GenerationMode.POSITIVE, registry_beside, names, examples)
            if statuses & {200, 201}:
                break
        if not statuses & {200, 201}:
            failed.add(operation.label)
        # What is wrong is refused by the same code whoever may ask.
        if can_be_wrong(operation):
            fuzz(operation, GenerationMode.NEGATIVE, registry_beside, names)
    assert failed == NEVER_SUCCEEDS
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def can_be_wrong(operation: Operation) -> bool:
    """Whether there is anything to leave out or to spoil: a path may hold any text, and a file any bytes."""
    needs_a_token = operation.path not in NEEDS_NO_TOKEN
    return needs_a_token or bool([*operation.query]) or body_of(operation.definition.raw) is not None


def document_of(registry: BackgroundRegistry) -> BaseSchema:
    schema = schemathesis.openapi.from_dict(httpx.get(f"{registry.served.url}/openapi.json").json())
    schema.config.update(base_url=registry.served.url)
    return schema


async def make_what_is_known(served: Served, path: str) -> Names:
    """Sees to it that there is whatever a path may name, as the operation before may have ended or deleted it.
    Returns what all of it is called."""
    http = served.http
    await http.post("/tenants", json={"id": "acme", "name": "Acme"})
    for agent_id in KNOWN["agent_id"]:
        card = {"id": agent_id, "uri": "http://agent.test", "name": agent_id, "incarnation": "one"}
        await http.post("/agents", json=card)
    await http.put("/components/prompt/first", json={"template": "Hello"})
    for workflow in KNOWN["ir"]:
        await http.post("/workflows", json={"ir": workflow})
    made: dict[str, tuple[Any, ...]] = {}
    if "{name}" in path:
        job = {"name": "nightly", "cron_expression": "0 3 29 2 *", "workflow_id": "reviewed"}
        (await http.post("/cron", json=job)).raise_for_status()
    if "{tenant_id}" in path:
        await http.post("/tenants", json={"id": "closed", "name": "Closed"})
        await http.put("/tenants/closed", json={"status": "suspended"})
        made["tenant_id"] = ("closed", "acme")
    if "{digest}" in path:
        put = await http.post("/artifacts", content="Hello", headers={"Content-Type": "text/plain"})
        made["digest"] = (put.json()["hash"],)
    if "{erasure_id}" in path:
        made |= {"erasure_id": (await erasure(http),), "part": (0,)}
    if "{token_id}" in path:
        made["token_id"] = ((await http.post("/tokens", json={"role": "viewer"})).json()["token_id"],)
    if "{execution_id}" in path:
        made["execution_id"] = (await paused(http), await completed(http))
    if "{decision_id}" in path:
        asked = await waiting(http)
        made |= {"decision_id": (asked["decision_id"],), "digest": (asked["digest"],), "decision": ("approve",)}
        made |= {"edited_action": (None,)}
    if "{work_item_id}" in path:
        await start(http, PRICED)
        made["work_item_id"] = ((await claim(served))["id"],)
    return {**KNOWN, **made}


async def paused(http: httpx.AsyncClient) -> str:
    execution_id = await start(http, REVIEWED)
    await until(http, execution_id, "paused")
    return execution_id


async def waiting(http: httpx.AsyncClient) -> dict[str, Any]:
    """The decision that an execution waits for."""
    execution_id = await paused(http)
    listed = (await http.get("/decisions?limit=200")).json()["decisions"]
    found: dict[str, Any] = next(one for one in listed if one["execution_id"] == execution_id)
    return found


async def erasure(http: httpx.AsyncClient) -> str:
    """One of which the registry itself has nothing left to do."""
    asked = (await http.post("/erasures", json={"thread_ids": ["t"]})).json()
    while asked["registry_done_at"] is None:
        await asyncio.sleep(0.1)
        asked = (await http.get(f"/erasures/{asked['erasure_id']}")).json()
    erasure_id: str = asked["erasure_id"]
    return erasure_id


async def completed(http: httpx.AsyncClient) -> str:
    execution_id = await start(http, TWO_STEPS)
    await until(http, execution_id, "completed")
    return execution_id


def fuzz(
    operation: Operation,
    mode: GenerationMode,
    registry: BackgroundRegistry,
    names: Names,
    examples: int = EXAMPLES,
) -> set[int]:
    """Sends what the document allows, or something close to it that it does not. Returns the answers' statuses."""
    statuses = set()
    strategy = operation.as_strategy(generation_mode=mode)
    if mode is GenerationMode.POSITIVE:
        strategy = strategy.flatmap(partial(with_known_names, names, fields_of(operation)))

    @given(strategy)
    @some(examples)
    def check(case: AnyCase) -> None:
        answer = case.call(headers=registry.headers)
        case.validate_response(
            answer,
            headers=registry.headers,
            additional_checks=[answers_in_the_registrys_shape],
            excluded_checks=checks_that_do_not_hold(operation, answer),
        )
        statuses.add(answer.status_code)

    check()
    return statuses


def checks_that_do_not_hold(operation: Operation, answer: Response) -> list[CheckFunction]:
    """Some rules are stricter than a schema can be: an id is of something that is there. 502 is the answer when an
    agent that is to be discovered gives none, and 413 to what is too large to be looked at."""
    return [
        positive_data_acceptance,
        *([not_a_server_error] if operation.path == "/agents/discover" else []),
        *([negative_data_rejection] if answer.status_code == 413 else []),
    ]


def fields_of(operation: Operation) -> set[str]:
    """What its body may have: of several kinds of bodies, the first."""
    schema = resolved(body_of(operation.definition.raw), operation.schema.raw_schema) or {}
    return {*schema.get("anyOf", [schema])[0].get("properties", {}), *schema.get("properties", {})}


def with_known_names(known: Names, fields: set[str], case: AnyCase) -> st.SearchStrategy[AnyCase]:
    """The case with names of things that are there, or as it is: what is made up rarely is."""

    def put(names: dict[str, Any]) -> AnyCase:
        if case.query.get("stream") == "true" and "execution_id" in known:
            names["execution_id"] = known["execution_id"][-1]  # the one that has ended, as the stream has to
        for name in case.path_parameters.keys() & names.keys():
            case.path_parameters[name] = quote(names[name], safe="")
        if isinstance(case.body, dict):
            case.body |= {name: names[name] for name in fields & names.keys()}
            if "decision" in case.body:
                case.body.pop("answer", None)  # one excludes the other
        return case

    names = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in known.items()})
    return names.map(put) | st.just(case)


def answers_in_the_registrys_shape(context: CheckContext, response: Response, case: AnyCase) -> None:
    """One shape for every failure, and none of them the registry's own fault."""
    assert response.status_code not in (500, 503)
    if response.status_code >= 400:
        content = response.json()
        assert list(content.keys() - {"decided_by"}) == ["error"]
        assert content["error"]
