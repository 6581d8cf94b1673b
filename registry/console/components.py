"""The pages of components: what each says, what has changed, who runs which version, who refused it and why."""

import json
from difflib import unified_diff
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from registry.checks import Query
from registry.components.models import (
    STORED_KINDS,
    Component,
    ComponentsQuery,
    UsesQuery,
    Version,
    VersionsQuery,
    show_component,
    show_listed,
)
from registry.components.preconditions import Precondition
from registry.console.formatting import in_path
from registry.console.pages import AnyViewer, PageRoute, Viewer, WritingSender, go_to
from registry.errors import InvalidRequest, NotFound

router = APIRouter(prefix="/components", route_class=PageRoute, include_in_schema=False)

_MOST_COMPARED_LINES = 2000
_VERSIONS_SHOWN = 50
_USES_SHOWN = 100
_EXAMPLES = {
    "prompt": {"template": "You are a helpful assistant."},
    "model": {"model": "openai:gpt-4o-mini"},
    "mcp": {"url": "https://mcp.example.org/mcp"},
}


class ComponentPageQuery(Query):
    """Which versions are compared, and which page of the processes is shown."""

    old: Version | None = None
    new: Version | None = None
    cursor: Annotated[str, Field(max_length=4096)] | None = None


class NewComponentQuery(Query):
    kind: str = "prompt"


@router.get("")
async def list_components(viewer: AnyViewer) -> Response:
    query = viewer.query(ComponentsQuery)
    page = await viewer.registry.components.list_components(viewer.principal, query)
    listed = [show_listed(each) for each in page.components]
    return viewer.page("components.html", query=query, components=listed, next_cursor=page.next_cursor)


@router.get("/new")
async def show_new_component(viewer: AnyViewer) -> Response:
    kind = viewer.query(NewComponentQuery).kind
    if kind not in STORED_KINDS:
        raise NotFound(f"components of kind {kind} are not made here; there are {', '.join(STORED_KINDS)}")
    return viewer.page("new_component.html", kind=kind, kinds=STORED_KINDS, example=_EXAMPLES[kind])


@router.post("/new")
async def make_component(viewer: WritingSender) -> Response:
    kind, component_id = viewer.text("kind"), viewer.text("component_id")
    await viewer.registry.components.put(
        viewer.principal, kind, component_id, viewer.document("content"), Precondition(absent=True)
    )
    return go_to(_path(kind, component_id), "saved")


@router.get("/{kind}/{component_id}")
async def show_one_component(viewer: AnyViewer, kind: str, component_id: str) -> Response:
    query = viewer.query(ComponentPageQuery)
    components = viewer.registry.components
    rollout = await components.get_rollout(
        viewer.principal, kind, component_id, UsesQuery(limit=_USES_SHOWN, cursor=query.cursor)
    )
    versions = await components.list_versions(
        viewer.principal, kind, component_id, VersionsQuery(limit=_VERSIONS_SHOWN)
    )
    current = rollout.version and await components.get_component(viewer.principal, kind, component_id)
    return viewer.page(
        "component.html",
        kind=kind,
        component_id=component_id,
        is_stored=kind in STORED_KINDS,
        component=show_component(current) if current else None,
        versions=versions.versions,
        latest=versions.versions[0].version,
        counts=rollout.counts,
        uses=rollout.uses,
        next_cursor=rollout.next_cursor,
        comparison=await _comparison(viewer, kind, component_id, query),
        query=query,
    )


@router.post("/{kind}/{component_id}")
async def put_component(viewer: WritingSender, kind: str, component_id: str) -> Response:
    written = await viewer.registry.components.put(
        viewer.principal,
        kind,
        component_id,
        viewer.document("content"),
        Precondition(match=viewer.whole("version")),
    )
    return go_to(_path(kind, component_id), "saved" if written.changed else "unchanged")


@router.post("/{kind}/{component_id}/rollback")
async def roll_back_component(viewer: WritingSender, kind: str, component_id: str) -> Response:
    current = viewer.text("current")
    precondition = Precondition(match=viewer.whole("current")) if current else Precondition(absent=True)
    written = await viewer.registry.components.roll_back(
        viewer.principal, kind, component_id, viewer.whole("version"), precondition
    )
    return go_to(_path(kind, component_id), "rolled-back" if written.changed else "unchanged")


@router.post("/{kind}/{component_id}/delete")
async def delete_component(viewer: WritingSender, kind: str, component_id: str) -> Response:
    await viewer.registry.components.delete(
        viewer.principal, kind, component_id, Precondition(match=viewer.whole("version"))
    )
    return go_to(_path(kind, component_id), "deleted")


async def _comparison(
    viewer: Viewer, kind: str, component_id: str, query: ComponentPageQuery
) -> list[tuple[str, str]] | None:
    if query.old is None or query.new is None:
        return None
    found = [
        await viewer.registry.components.get_component(viewer.principal, kind, component_id, version)
        for version in (query.old, query.new)
    ]
    return compare(*[_lines(each) for each in found])


def compare(old: list[str], new: list[str]) -> list[tuple[str, str]]:
    """Return the lines of both with what became of them: `added`, `removed` or `same`. Raises `InvalidRequest`."""
    if max(len(old), len(new)) > _MOST_COMPARED_LINES:
        raise InvalidRequest(f"versions of more than {_MOST_COMPARED_LINES} lines are not compared here")
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return [(kinds.get(line[0], "same"), line.rstrip("\n")) for line in list(unified_diff(old, new, n=3))[2:]]


def _lines(component: Component) -> list[str]:
    """A prompt's template is compared as it reads, the rest as JSON."""
    content: dict[str, Any] = component.content
    template = content.get("template")
    if isinstance(template, str) and len(content) == 1:
        return template.splitlines()
    return json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True).splitlines()


def _path(kind: str, component_id: str) -> str:
    return f"/console/components/{in_path(kind)}/{in_path(component_id)}"
