"""Workflows as they are asked for, stored and shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from registry.checks import Body, Limit, Offset, Query
from registry.times import rfc3339


class WorkflowBody(Body):
    ir: dict[str, Any]


class WorkflowsQuery(Query):
    limit: Limit | None = None
    offset: Offset = 0


class RevisionQuery(Query):
    """Which version, else the latest; and which revision of it, else the newest."""

    version: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    revision: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


@dataclass(frozen=True)
class ListedWorkflow:
    """The latest version of a workflow, without its document."""

    workflow_id: str
    version: str
    revision: int
    name: str | None
    description: str | None
    registered_at: datetime


@dataclass(frozen=True)
class StoredWorkflow(ListedWorkflow):
    """One revision of one version of a workflow; it never changes."""

    revision_id: int
    document: dict[str, Any]


@dataclass(frozen=True)
class Version:
    """A version with its newest revision."""

    version: str
    revision: int
    revision_id: int
    registered_at: datetime


@dataclass(frozen=True)
class Registered:
    """`created`: the document is a new revision, and not what there was already."""

    workflow_id: str
    version: str
    revision: int
    created: bool


@dataclass(frozen=True)
class WorkflowPage:
    workflows: list[ListedWorkflow]
    total: int


class WorkflowRegisteredAnswer(TypedDict):
    workflow_id: str
    version: str
    revision: int
    created: bool


class ShownWorkflow(TypedDict):
    workflow_id: str
    version: str
    revision: int
    name: str | None
    description: str | None
    registered_at: str


class WorkflowsAnswer(TypedDict):
    workflows: list[ShownWorkflow]
    total: int


class WorkflowVersion(TypedDict):
    version: str
    revision: int
    registered_at: str


class WorkflowAnswer(ShownWorkflow):
    ir: dict[str, Any]
    versions: list[WorkflowVersion]


def show_workflow(workflow: ListedWorkflow) -> ShownWorkflow:
    return {
        "workflow_id": workflow.workflow_id,
        "version": workflow.version,
        "revision": workflow.revision,
        "name": workflow.name,
        "description": workflow.description,
        "registered_at": rfc3339(workflow.registered_at),
    }


def show_in_detail(workflow: StoredWorkflow, versions: Sequence[Version]) -> WorkflowAnswer:
    return {
        **show_workflow(workflow),
        "ir": workflow.document,
        "versions": [
            {"version": each.version, "revision": each.revision, "registered_at": rfc3339(each.registered_at)}
            for each in versions
        ],
    }
