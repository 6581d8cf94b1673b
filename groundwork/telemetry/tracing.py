"""Traces in OpenTelemetry's terms: what a request has led to, across tasks, processes and queues.

They are sent where `OTEL_EXPORTER_OTLP_ENDPOINT` says, and the other `OTEL_…` variables hold as the SDK has them.
Without it we import nothing of the SDK, nothing is sent, and what stands in the code costs a look at a variable.
"""

import asyncio
import logging
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import Context, copy_context
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.telemetry.genai import server_of
from groundwork.telemetry.logs import request_id

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

Attributes = Mapping[str, str | int]
End = Callable[[BaseException | None, Attributes], None]
_NOTHING: Attributes = {}

Origin = Mapping[str, str]
"""What goes along with work that is done later or elsewhere: the id of the request that it began with, and the
place in its trace, under the names of their headers."""

REQUEST_ID = "x-request-id"

PLACE = ("traceparent", "tracestate")
"""The headers that name a place in a trace."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NOT_TRACED = frozenset({"/health", "/healthz", "/readyz", "/metrics"})
_LAST_WORDS_SECONDS = 3.0
_LONGEST_STATEMENT = 300
_COMMENT = re.compile(r"--[^\n]*")

# As with logging, it is global because whoever has something to say is far from whoever knows where it goes.
_tracing: "_Tracing | None" = None


@asynccontextmanager
async def open_tracing(service: str) -> AsyncIterator[None]:
    """Sends traces while the block runs, if the environment says where to. `service` is what the process is called
    unless `OTEL_SERVICE_NAME` says otherwise."""
    global _tracing  # see above
    if not any(os.environ.get(name) for name in _ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED") == "true":
        yield
        return
    try:
        opened = _Tracing(service)
    except ImportError as error:
        logger.warning("tracing is off: %s; pip install 'agent-sidecar[otel]'", error)
        yield
        return
    _tracing = opened
    try:
        yield
    finally:
        _tracing = None
        await opened.close()


def is_on() -> bool:
    return _tracing is not None


def span(name: str, attributes: Attributes = _NOTHING, *, client: bool = False) -> AbstractContextManager[object]:
    """A part of what is going on, from now until the block ends. Of an error, only its type is told.

    `client` says that another service does it."""
    return nullcontext() if _tracing is None else _tracing.span(name, attributes, client=client)


def spanned(
    name: str, work: Coroutine[Any, Any, Result], attributes: Attributes = _NOTHING, *, client: bool = False
) -> Coroutine[Any, Any, Result]:
    """The work, as a part of what is going on when it is begun."""
    return work if _tracing is None else _with_span(name, work, attributes, client)


def note(attributes: Attributes) -> None:
    """Add to the innermost part of what is going on what has become known of it."""
    if _tracing is not None:
        _tracing.note(attributes)


def begin(name: str, attributes: Attributes = _NOTHING, *, client: bool = False) -> "End | None":
    """A part of what is going on that does not end where it begins: call what is returned, with the error if there
    was one, and what has become known. `None` where there are no traces."""
    return None if _tracing is None else _tracing.begin(name, attributes, client=client)


def origin() -> dict[str, str]:
    """What is to go along with work that is begun here and done elsewhere; see `Origin`."""
    current = request_id.get()
    found = {} if current is None else {REQUEST_ID: current}
    if _tracing is not None:
        _tracing.write_place(found)
    return found


def context_of(work: Origin) -> Context:
    """A context for what is done for that work, here and now."""
    context = copy_context()
    context.run(take_over, work)
    return context


def tell_server(headers: MutableMapping[str, str]) -> None:
    """Puts the place in the trace into the headers of a request that is going out."""
    if _tracing is not None:
        _tracing.write_place(headers)


def traced(app: ASGIApp) -> ASGIApp:
    """The app, with a span for each request; itself where there are no traces."""
    return app if _tracing is None else _Traced(app, _tracing)


def connection_options() -> dict[str, Any]:
    """What connections are opened with, so that statements show in traces."""
    return {} if _tracing is None else {"cursor_factory": _tracing.cursors}


async def _with_span(name: str, work: Coroutine[Any, Any, Result], attributes: Attributes, client: bool) -> Result:
    with span(name, attributes, client=client):
        return await work


def take_over(work: Origin) -> None:
    """From now on, what is done in this context is done for that work."""
    request_id.set(work.get(REQUEST_ID))
    if _tracing is not None:
        _tracing.read_place(work)


class _Tracing:
    """The SDK, as far as it is used. Raises `ImportError` when it is not installed."""

    def __init__(self, service: str) -> None:
        from opentelemetry import context, trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        from groundwork.telemetry.traced_statements import cursors_with_spans

        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: service}))
        # Spans wait in a bounded queue for a thread of the SDK's; what does not fit is dropped.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("agent-sidecar")
        self._trace, self._context = trace, context
        self.failed = trace.StatusCode.ERROR
        self._places = TraceContextTextMapPropagator()
        self.cursors = cursors_with_spans(self.statement)

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes,
        *,
        place: Any = None,
        server: bool = False,
        client: bool = False,
    ) -> Iterator[Any]:
        kind = self._trace.SpanKind.SERVER if server else self._kind(client)
        with self._tracer.start_as_current_span(
            name,
            context=place,
            kind=kind,
            attributes=dict(attributes),
            record_exception=False,  # its text may hold anything
            set_status_on_exception=False,
        ) as opened:
            try:
                yield opened
            except BaseException as error:  # a call that is cut off by its time limit, too
                self._failed(opened, error)
                raise

    def begin(self, name: str, attributes: Attributes, *, client: bool) -> End:
        opened = self._tracer.start_span(name, kind=self._kind(client), attributes=dict(attributes))

        def end(error: BaseException | None, known: Attributes) -> None:
            opened.set_attributes(dict(known))
            if error is not None:
                self._failed(opened, error)
            opened.end()

        return end

    def note(self, attributes: Attributes) -> None:
        self._trace.get_current_span().set_attributes(dict(attributes))

    def _kind(self, client: bool) -> Any:
        return self._trace.SpanKind.CLIENT if client else self._trace.SpanKind.INTERNAL

    def _failed(self, opened: Any, error: BaseException) -> None:
        opened.set_attribute("error.type", type(error).__name__)
        opened.set_status(self._trace.StatusCode.ERROR, type(error).__name__)

    def statement(self, text: str) -> AbstractContextManager[object]:
        """Statements of loops that belong to no request are left out: each would be a trace of its own. So are
        empty ones, with which the pool looks whether a connection still is one."""
        words = _COMMENT.sub("", text).split(None, 1)
        if not words or not self._trace.get_current_span().get_span_context().is_valid:
            return nullcontext()
        attributes = {"db.system.name": "postgresql", "db.query.text": text[:_LONGEST_STATEMENT]}
        return self.span(f"SQL {words[0].upper()}", attributes, client=True)

    def write_place(self, headers: MutableMapping[str, str]) -> None:
        self._places.inject(headers)

    def read_place(self, headers: Mapping[str, str]) -> None:
        self._context.attach(self.place_in(headers))

    def place_in(self, headers: Mapping[str, str]) -> Any:
        return self._places.extract(headers, context=self._context.Context())

    async def close(self) -> None:
        """Sends what is left, for a moment: no stop waits for a collector that does not answer."""
        done = threading.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            done.set()

        threading.Thread(target=shut_down, daemon=True).start()
        for _ in range(int(_LAST_WORDS_SECONDS / 0.05)):
            if done.is_set():
                return
            await asyncio.sleep(0.05)


class _Traced:
    """A span for each request, in the trace that the caller's `traceparent` names."""

    def __init__(self, app: ASGIApp, tracing: _Tracing) -> None:
        self.app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _NOT_TRACED:
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {**_request_attributes(scope, headers), REQUEST_ID: request_id.get() or ""}
        place = self._tracing.place_in(headers)
        with self._tracing.span(scope["method"], attributes, place=place, server=True) as opened:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route, status = route_of(scope), message["status"]
                    opened.update_name(f"{scope['method']} {route}".strip())
                    opened.set_attribute("http.response.status_code", status)
                    if route:
                        opened.set_attribute("http.route", route)
                    if status >= 500:
                        opened.set_attribute("error.type", str(status))
                        opened.set_status(self._tracing.failed)
                await send(message)

            await self.app(scope, receive, send_and_note)


def _request_attributes(scope: Scope, headers: Mapping[str, str]) -> dict[str, str | int]:
    """OpenTelemetry's attributes of a server's HTTP spans. The query is left out: it may hold anything."""
    scheme: str = scope.get("scheme", "http")
    server = server_of(f"{scheme}://{headers.get('host', '')}") or server_of(f"{scheme}://")
    return {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        "url.scheme": scheme,
        "network.protocol.version": scope.get("http_version", "1.1"),
        **server,
    }


def route_of(scope: Scope) -> str:
    """The pattern of the path, and not the path: it is what requests are told apart by, and paths hold names.
    Empty where there is no such route."""
    if (route := getattr(scope.get("route"), "path", None)) is not None:
        return str(route)
    if "endpoint" not in scope:
        return ""
    path: str = scope["path"]
    for name, value in scope.get("path_params", {}).items():
        path = path.replace(str(value), f"{{{name}}}")
    return path
