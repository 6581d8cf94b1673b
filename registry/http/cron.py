"""Routes of cron jobs."""

from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from groundwork.http.openapi import DocumentedRouter
from registry.checks import Body, Name
from registry.cron.models import CronJob, Schedule
from registry.errors import NotFound
from registry.executions.models import show_execution_id
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, Writer, body_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.times import rfc3339

router = DocumentedRouter(prefix="/cron", route_class=RegistryRoute, tags=["cron"])


class CronBody(Body):
    name: Annotated[Name, Field(min_length=1)]
    cron_expression: Annotated[
        str, Field(max_length=255, description="Five fields, such as `*/5 * * * *`, or a name such as `@daily`.")
    ]
    time_zone: Annotated[
        str, Field(max_length=100, description="An IANA name: the expression is meant as its clocks show it.")
    ] = "UTC"
    workflow_id: Annotated[str, Field(min_length=1, max_length=255)]
    workflow_version: str | None = None
    input: dict[str, Any] | None = None
    enabled: bool = True


class CronJobAnswer(TypedDict):
    name: str
    cron_expression: str
    time_zone: str
    workflow_id: str
    workflow_version: str | None
    input: dict[str, Any]
    enabled: bool
    next_run_at: str | None
    last_run_at: str | None
    last_execution_id: str | None
    last_error: str | None


class CronJobsAnswer(TypedDict):
    cron_jobs: list[CronJobAnswer]


class CronJobDeletedAnswer(TypedDict):
    name: str
    deleted: bool


@router.post(
    "",
    status_code=201,
    response_model=CronJobAnswer,
    responses=failures(NotFound),
    openapi_extra=described(body=CronBody),
)
async def put_cron_job(
    principal: Writer, registry: CurrentRegistry, body: Annotated[CronBody, body_of(CronBody)]
) -> Response:
    """Starts the workflow whenever the time fits. One of the same name is replaced."""
    job = await registry.cron_jobs.put(
        principal,
        name=body.name,
        schedule=Schedule(body.cron_expression, body.time_zone),
        workflow_id=body.workflow_id,
        workflow_version=body.workflow_version,
        given=body.input or {},
        enabled=body.enabled,
    )
    return JsonResponse(_shown(job), 201)


@router.get("", response_model=CronJobsAnswer, responses=failures())
async def list_cron_jobs(principal: Reader, registry: CurrentRegistry) -> Response:
    """The tenant's cron jobs, with how it went the last time."""
    jobs = await registry.cron_jobs.list(principal)
    return JsonResponse({"cron_jobs": [_shown(job) for job in jobs]})


@router.delete("/{name}", response_model=CronJobDeletedAnswer, responses=failures(NotFound))
async def delete_cron_job(principal: Writer, registry: CurrentRegistry, name: str) -> Response:
    """Executions that it has started go on."""
    await registry.cron_jobs.delete(principal, name)
    return JsonResponse({"name": name, "deleted": True})


def _shown(job: CronJob) -> CronJobAnswer:
    last = job.last_execution_id
    return {
        "name": job.name,
        "cron_expression": job.cron_expression,
        "time_zone": job.time_zone,
        "workflow_id": job.workflow_id,
        "workflow_version": job.workflow_version,
        "input": job.input,
        "enabled": job.enabled,
        "next_run_at": rfc3339(job.next_run_at),
        "last_run_at": rfc3339(job.last_run_at),
        "last_execution_id": show_execution_id(last) if last else None,
        "last_error": job.last_error,
    }
