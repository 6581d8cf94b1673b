"""Routes of components."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from groundwork.http.openapi import DocumentedRouter
from registry.components.contents import McpContent, ModelContent, PromptContent
from registry.components.models import (
    AgentUsesAnswer,
    Component,
    ComponentAnswer,
    ComponentDeletedAnswer,
    ComponentsAnswer,
    ComponentsQuery,
    ComponentStatusAnswer,
    ComponentUsesAnswer,
    ComponentUsesBody,
    ComponentVersionsAnswer,
    ResolveComponentsBody,
    ResolvedComponentsAnswer,
    RollbackBody,
    UsesQuery,
    VersionQuery,
    VersionsQuery,
    Written,
    WrittenComponentAnswer,
    show_agent_use,
    show_component,
    show_listed,
    show_resolved,
    show_use,
    show_version,
)
from registry.components.preconditions import HEADERS, HEADERS_OF_PUT, Precondition, precondition_of
from registry.errors import Conflict, Gone, InvalidRequest, NotFound, PayloadTooLarge
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, Writer, body_of, query_of, read_json
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures

router = DocumentedRouter(prefix="/components", route_class=RegistryRoute, tags=["components"])

reading_router = DocumentedRouter(prefix="/components", tags=["components"])
"""A request that reads although it is a POST: when it is refused, no write was."""

reporting_router = DocumentedRouter(prefix="/agents", route_class=RegistryRoute, tags=["components"])

OnlyIf = Annotated[Precondition, Depends(precondition_of)]


async def _read_content(request: Request) -> Mapping[str, Any]:
    body = await read_json(request)
    if not isinstance(body, Mapping):
        raise InvalidRequest("the body must be a JSON object")
    return body


@reading_router.post(
    "/resolve",
    response_model=ResolvedComponentsAnswer,
    responses=failures(),
    openapi_extra=described(body=ResolveComponentsBody),
)
async def resolve_components(
    principal: Reader,
    registry: CurrentRegistry,
    body: Annotated[ResolveComponentsBody, body_of(ResolveComponentsBody)],
) -> Response:
    """What there is of each of these components, in their order; without the content where the given digest is the
    current one. A change that is not in the answer makes the generation a later one."""
    generation, resolved = await registry.components.resolve(principal, body.refs)
    shown = [show_resolved(*each) for each in zip(body.refs, resolved, strict=True)]
    return JsonResponse({"generation": generation, "components": shown})


@router.get(
    "",
    response_model=ComponentsAnswer,
    responses=failures(),
    openapi_extra=described(query=ComponentsQuery),
)
async def list_components(
    principal: Reader, registry: CurrentRegistry, query: Annotated[ComponentsQuery, query_of(ComponentsQuery)]
) -> Response:
    """The models, prompts and MCP servers there are, in the order of kinds and ids; or the agents."""
    page = await registry.components.list_components(principal, query)
    return JsonResponse(
        {
            "components": [show_listed(component) for component in page.components],
            "generation": page.generation,
            "next_cursor": page.next_cursor,
        }
    )


@router.put(
    "/{kind}/{component_id}",
    response_model=WrittenComponentAnswer,
    responses={**failures(NotFound, Conflict, PayloadTooLarge), 201: {"model": WrittenComponentAnswer}},
    openapi_extra=described(body=PromptContent | ModelContent | McpContent, headers=HEADERS_OF_PUT),
)
async def put_component(
    principal: Writer,
    registry: CurrentRegistry,
    kind: str,
    component_id: str,
    only_if: OnlyIf,
    content: Annotated[Mapping[str, Any], Depends(_read_content)],
) -> Response:
    """Makes the body the component's next version; one that says the same changes nothing. Secrets are refused:
    `${NAME}` stands for a variable of the agent's environment."""
    return _answer_written(await registry.components.put(principal, kind, component_id, content, only_if))


@router.get(
    "/{kind}/{component_id}",
    response_model=ComponentAnswer,
    responses=failures(NotFound),
    openapi_extra=described(query=VersionQuery),
)
async def get_component(
    principal: Reader,
    registry: CurrentRegistry,
    kind: str,
    component_id: str,
    query: Annotated[VersionQuery, query_of(VersionQuery)],
) -> Response:
    """The component as it is, or an earlier version of it."""
    found = await registry.components.get_component(principal, kind, component_id, query.version)
    return JsonResponse(show_component(found), headers=_etag(found))


@router.delete(
    "/{kind}/{component_id}",
    response_model=ComponentDeletedAnswer,
    responses=failures(NotFound, Conflict),
    openapi_extra=described(headers=HEADERS),
)
async def delete_component(
    principal: Writer, registry: CurrentRegistry, kind: str, component_id: str, only_if: OnlyIf
) -> Response:
    """The component is no more. Its versions stay, and one that is put later goes on counting."""
    version = await registry.components.delete(principal, kind, component_id, only_if)
    return JsonResponse({"kind": kind, "id": component_id, "version": version, "deleted": True})


@router.get(
    "/{kind}/{component_id}/versions",
    response_model=ComponentVersionsAnswer,
    responses=failures(NotFound),
    openapi_extra=described(query=VersionsQuery),
)
async def list_component_versions(
    principal: Reader,
    registry: CurrentRegistry,
    kind: str,
    component_id: str,
    query: Annotated[VersionsQuery, query_of(VersionsQuery)],
) -> Response:
    """The component's versions, the newest first, also of one that was deleted. Of an agent's, only the latest is
    known."""
    page = await registry.components.list_versions(principal, kind, component_id, query)
    return JsonResponse(
        {"versions": [show_version(each) for each in page.versions], "next_cursor": page.next_cursor}
    )


@router.post(
    "/{kind}/{component_id}/rollback",
    response_model=WrittenComponentAnswer,
    responses={**failures(NotFound, Conflict), 201: {"model": WrittenComponentAnswer}},
    openapi_extra=described(body=RollbackBody, headers=HEADERS),
)
async def roll_back_component(
    principal: Writer,
    registry: CurrentRegistry,
    kind: str,
    component_id: str,
    only_if: OnlyIf,
    body: Annotated[RollbackBody, body_of(RollbackBody)],
) -> Response:
    """Makes a new version of what an earlier one says, also of a component that was deleted."""
    written = await registry.components.roll_back(principal, kind, component_id, body.version, only_if)
    return _answer_written(written)


@router.get(
    "/{kind}/{component_id}/status",
    response_model=ComponentStatusAnswer,
    responses=failures(NotFound),
    openapi_extra=described(query=UsesQuery),
)
async def get_component_status(
    principal: Reader,
    registry: CurrentRegistry,
    kind: str,
    component_id: str,
    query: Annotated[UsesQuery, query_of(UsesQuery)],
) -> Response:
    """Which process of which agent runs which version, and which has refused it and why. The summary counts those
    that live."""
    rollout = await registry.components.get_rollout(principal, kind, component_id, query)
    return JsonResponse(
        {
            "kind": kind,
            "id": component_id,
            "version": rollout.version,
            "digest": rollout.digest,
            "summary": rollout.counts,
            "agents": [show_use(use) for use in rollout.uses],
            "next_cursor": rollout.next_cursor,
        }
    )


@reporting_router.put(
    "/{agent_id}/components",
    response_model=ComponentUsesAnswer,
    responses=failures(NotFound, Gone),
    openapi_extra=described(body=ComponentUsesBody),
)
async def report_components(
    principal: Writer,
    registry: CurrentRegistry,
    agent_id: str,
    body: Annotated[ComponentUsesBody, body_of(ComponentUsesBody)],
) -> Response:
    """A process of the agent says which components it runs, all of them at once."""
    await registry.components.note_uses(principal, agent_id, body)
    return JsonResponse({"agent_id": agent_id, "ok": True})


@reporting_router.get("/{agent_id}/components", response_model=AgentUsesAnswer, responses=failures(NotFound))
async def list_agent_components(principal: Reader, registry: CurrentRegistry, agent_id: str) -> Response:
    """Which components the agent's living processes run, and which version of each there is now."""
    uses = await registry.components.list_uses_of_agent(principal, agent_id)
    return JsonResponse({"agent_id": agent_id, "components": [show_agent_use(use) for use in uses]})


def _answer_written(written: Written) -> Response:
    content = {**show_component(written.component), "changed": written.changed}
    return JsonResponse(content, 201 if written.created else 200, _etag(written.component))


def _etag(component: Component) -> dict[str, str]:
    return {"ETag": f'"{component.version}"'}
