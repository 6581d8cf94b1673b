"""A collector of traces: what OTLP over HTTP brings, as spans."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.servers import run_server


@dataclass
class Collector:
    url: str = ""
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return Response(status_code=self.status)

    async def trace_with(self, name: str, *names: str) -> list[Span]:
        """The spans of the trace that has one of this name, once all of the names are in it."""
        async with asyncio.timeout(60):
            while True:
                for trace_id in {span.trace_id for span in self.spans if span.name == name}:
                    found = [span for span in self.spans if span.trace_id == trace_id]
                    if {name, *names} <= {span.name for span in found}:
                        return found
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    collector = Collector()
    app = Starlette(routes=[Route("/v1/traces", collector.receive, methods=["POST"])])
    async with run_server(app) as collector.url:
        yield collector
