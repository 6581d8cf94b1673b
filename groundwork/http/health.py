"""What orchestrators and collectors ask of every service: is it up, can it work, how has it been."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, disable_created_metrics, generate_latest
from pydantic import BaseModel

from groundwork.http.openapi import DocumentedRouter
from groundwork.postgres.pool import DatabaseUnavailable

READY_SECONDS = 2.0


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    status: Literal["ready"] = "ready"


class Unreadiness(BaseModel):
    status: Literal["unavailable"] = "unavailable"
    reason: str


_NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": Unreadiness, "description": "The database is away"}}
_METRICS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@dataclass(frozen=True)
class _Service:
    """What the routes tell of."""

    ready: Callable[[], Awaitable[None]]
    metrics: CollectorRegistry


_router = DocumentedRouter(tags=["operations"])


def serve_health(app: FastAPI, ready: Callable[[], Awaitable[None]], metrics: CollectorRegistry) -> None:
    """Let `app` serve `GET /healthz`, `/readyz` and `/metrics`, for everybody who can reach the server.

    `ready` raises `DatabaseUnavailable` when the service cannot work; more than two seconds count as that.
    """
    # The library's own switch, for the whole process. Otherwise each counter has a gauge beside it that says when
    # it was made, which doubles the series.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library says nothing of types here
    app.state.health = _Service(ready, metrics)
    app.router.routes.extend(_router.routes)


def _service(request: Request) -> _Service:
    service: _Service = request.app.state.health
    return service


@_router.get("/healthz", summary="The process is up")
async def healthz() -> Health:
    return Health()


@_router.get("/readyz", summary="The service can work", response_model=Readiness, responses=_NOT_READY)
async def readyz(request: Request) -> Readiness | JSONResponse:
    try:
        async with asyncio.timeout(READY_SECONDS):
            await _service(request).ready()
    except TimeoutError:
        return _unavailable(f"the database did not answer within {READY_SECONDS:g} seconds")
    except DatabaseUnavailable:
        # Not the error's text: it may name the database's address, and anybody may ask.
        return _unavailable("the database cannot be reached")
    return Readiness()


@_router.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses=_METRICS)
async def get_metrics(request: Request) -> Response:
    return Response(generate_latest(_service(request).metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse(Unreadiness(reason=reason).model_dump(), status_code=503)
