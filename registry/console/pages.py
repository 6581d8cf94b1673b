"""What every page of the console shares: who looks at it, how it is rendered, and how it fails."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from groundwork.http.hosts import is_origin_of
from registry.access import DEVELOPER, Principal
from registry.checks import check_query, refuse_unstorable_text
from registry.console.assets import load_templates
from registry.errors import Forbidden, InvalidRequest, Unauthenticated
from registry.http.deps import LOGIN, SESSION_COOKIE, CurrentRegistry, identify_session, read_bytes, record_refusal
from registry.http.errors import respond_to
from registry.runtime import Registry
from registry.sessions.service import form_token

Model = TypeVar("Model", bound=BaseModel)

_MOST_FIELDS = 100
_TIMES = re.compile(r"(<time [^>]*>)[^<]*")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie, X-Fragment",
    "X-Content-Type-Options": "nosniff",
}
_DONE = {
    "activated": "The agent is active now.",
    "paused": "The agent is paused: it is to get no work until it is activated.",
    "draining": "The agent takes no new turns, and ends those that it has in hand.",
    "deactivated": "The agent is deactivated.",
    "removed": "The agent was removed. If it still runs, it will register again.",
    "discovered": "The agent was found, and is registered.",
    "cancelled": "The execution was cancelled.",
    "decided": "Your decision was taken.",
    "withdrawn": "The question was open no more.",
    "approved": "Your decision was taken: approved.",
    "rejected": "Your decision was taken: rejected.",
    "started": "The execution was started.",
    "restarted": "This is another execution with the same input, from the first node on.",
    "restarted-many": "The executions were started again, each as another one with the same input.",
    "cancelled-many": "The executions were cancelled.",
    "saved": "A new version was saved. Agents that use it are told at once.",
    "unchanged": "It says what it said before: no new version was made.",
    "rolled-back": "The earlier version is the latest again, under a new number.",
    "settings": "The agent has taken the settings. They hold for its other processes within seconds.",
    "erased": "The conversation was erased.",
    "deleted": "It was deleted.",
    "revoked": "The token was revoked. It lets nobody in from now on, and its sessions are over.",
    "updated": "It was changed.",
    "created": "It was made.",
    "ended": "The session was ended.",
}
"""What a page may say about what was done before it was opened, by what stands in `done`."""


@dataclass(frozen=True)
class Viewer:
    """Whoever looks at a page. Without a session it is a developer, who is asked for no token."""

    request: Request
    registry: Registry
    principal: Principal
    name: str = ""
    session_id: str | None = None
    form_token: str = ""
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def may_write(self) -> bool:
        return self.principal.role in ("developer", "operator")

    @property
    def may_operate(self) -> bool:
        return self.principal.role == "operator"

    def query(self, model: type[Model]) -> Model:
        """The query string as a `model`; empty fields of a form are not there. Raises `InvalidRequest`."""
        items = self.request.query_params.multi_items()
        given = QueryParams([(name, value) for name, value in items if value != "" and name != "done"])
        return check_query(TypeAdapter(model), given)

    def text(self, name: str) -> str:
        """A field of the form that was sent, empty when it was left out."""
        return self.form.get(name, "").strip()

    def whole(self, name: str) -> int:
        """Raises `InvalidRequest` for what is no number."""
        text = self.text(name)
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise InvalidRequest(f"{name} should be a whole number")
        return int(text)

    def document(self, name: str) -> dict[str, Any]:
        """A field that holds a JSON object. Raises `InvalidRequest`."""
        try:
            value = json.loads(self.text(name) or "{}")
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"{name} should be JSON: {error}") from None
        if not isinstance(value, dict):
            raise InvalidRequest(f"{name} should be a JSON object, such as {{}}")
        refuse_unstorable_text(value)
        return value

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """The page, or the part of it that is kept up to date, when the script asks for that."""
        found = load_templates().get_template(template)
        values = {
            "viewer": self,
            "path": self.request.url.path,
            "here": _here(self.request),
            "done": _DONE.get(self.request.query_params.get("done", "")),
            "with_query": self.with_query,
            **context,
        }
        if self.request.headers.get("x-fragment") == "live" and "live" in found.blocks:
            body = "".join(found.blocks["live"](found.new_context(values)))
        else:
            body = found.render(values)
        return respond(self.request, body, status)

    def with_query(self, **changes: str | int | None) -> str:
        """The URL of this page with other parameters; None takes one away."""
        given = {name: value for name, value in self.request.query_params.items() if name != "done"}
        kept = {name: value for name, value in {**given, **changes}.items() if value is not None}
        return self.request.url.path + (f"?{urlencode(kept)}" if kept else "")


def respond(request: Request, body: str, status: int = 200) -> Response:
    """An answer that no cache keeps, and that is not sent again to a page that has it: ages grow by themselves."""
    digest = hashlib.sha256(_TIMES.sub(r"\1", body).encode()).hexdigest()[:32]
    headers = {**_HEADERS, "ETag": f'"{digest}"'}
    if status == 200 and request.headers.get("if-none-match") == f'"{digest}"':
        return Response(status_code=304, headers=headers)
    return Response(body, status, headers, media_type="text/html")


def go_to(path: str, done: str | None = None) -> Response:
    """To the page that shows what was done; reloading it does nothing twice."""
    target = f"{path}{'&' if '?' in path else '?'}done={done}" if done else path
    return RedirectResponse(target, 303, {"Cache-Control": "no-store"})


def local_path(text: str) -> str:
    """`text` where it is a path of the console, else the console's first page: nobody is sent elsewhere."""
    return text if re.fullmatch(r"/console(?:[/?][\x21-\x7e]*)?", text) and "\\" not in text else "/console"


async def admit(request: Request, registry: CurrentRegistry) -> Viewer:
    """Raises `Unauthenticated` for somebody who is not logged in, and `HeaderRefused`."""
    if registry.settings.jamjet_dev_mode:
        registry.own_hosts.check(request)
        request.state.principal = DEVELOPER
        return Viewer(request, registry, DEVELOPER, name="developer mode")
    logged_in = await identify_session(request, registry)
    return Viewer(
        request,
        registry,
        logged_in.principal,
        name=logged_in.token_name or logged_in.principal.actor_id,
        session_id=logged_in.session_id,
        form_token=form_token(request.cookies[SESSION_COOKIE]),
    )


AnyViewer = Annotated[Viewer, Depends(admit)]


async def admit_operator(viewer: AnyViewer) -> Viewer:
    viewer.principal.require_operator()
    return viewer


OperatingViewer = Annotated[Viewer, Depends(admit_operator)]


async def admit_sender(request: Request, viewer: AnyViewer) -> Viewer:
    """A form of ours that was sent by whoever looks at it. Raises `Forbidden` for another site's."""
    check_origin(request)
    form = await read_form(request)
    if viewer.session_id is not None and not hmac.compare_digest(
        form.get("form_token", "").encode(), viewer.form_token.encode()
    ):
        raise Forbidden("the form is not of this session; open the page again and send it from there")
    return Viewer(
        request, viewer.registry, viewer.principal, viewer.name, viewer.session_id, viewer.form_token, form
    )


Sender = Annotated[Viewer, Depends(admit_sender)]


async def admit_writing_sender(viewer: Sender) -> Viewer:
    viewer.principal.require_writer()
    return viewer


async def admit_operating_sender(viewer: Sender) -> Viewer:
    viewer.principal.require_operator()
    return viewer


async def admit_platform_sender(viewer: Sender) -> Viewer:
    viewer.principal.require_platform_operator()
    return viewer


WritingSender = Annotated[Viewer, Depends(admit_writing_sender)]
OperatingSender = Annotated[Viewer, Depends(admit_operating_sender)]
PlatformSender = Annotated[Viewer, Depends(admit_platform_sender)]


def check_origin(request: Request) -> None:
    """Browsers say where a form comes from. Raises `Forbidden`."""
    origins, hosts = request.headers.getlist("origin"), request.headers.getlist("host")
    if len(origins) != 1 or len(hosts) != 1 or not is_origin_of(origins[0], hosts[0]):
        raise Forbidden("the form comes from another site; accepted are those of the console itself")


async def read_form(request: Request) -> dict[str, str]:
    """Raises `InvalidRequest`."""
    try:
        text = (await read_bytes(request)).decode()
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise InvalidRequest("the form cannot be read") from None
    form = dict(pairs)
    refuse_unstorable_text(form)
    return {name: value.replace("\r\n", "\n") for name, value in form.items()}


class PageRoute(APIRoute):
    """A route that fails with a page. Who is not logged in is asked to, and comes back afterwards."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:  # noqa: BLE001  # whatever it is, a browser gets a page
                if isinstance(error, Forbidden | Unauthenticated):
                    registry: Registry = request.app.state.registry
                    await record_refusal(registry, request, error)
                return _failure(request, error)

        return answer


def _failure(request: Request, error: Exception) -> Response:
    is_navigation = request.method == "GET" and "x-fragment" not in request.headers
    if isinstance(error, Unauthenticated) and is_navigation and request.url.path != LOGIN:
        return go_to(f"{LOGIN}?next={quote(_here(request), safe='')}")
    told = respond_to(error)
    body = json.loads(bytes(told.body))
    page = load_templates().get_template("error.html")
    rendered = page.render(
        status=told.status_code,
        message=body["error"],
        request_id=body.get("request_id"),
        back=_back(request),
    )
    response = respond(request, rendered, told.status_code)
    for name in ("retry-after",):
        if name in told.headers:
            response.headers[name] = told.headers[name]
    return response


def _here(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def _back(request: Request) -> str:
    """Where a failed form was sent from."""
    referer = request.headers.get("referer", "")
    path = "/" + referer.partition("://")[2].partition("/")[2]
    return local_path(path) if request.method == "POST" else "/console"
