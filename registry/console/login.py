"""Logging in and out, and the sessions that are open."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from groundwork.http.hosts import is_loopback
from registry.console.assets import load_assets, load_templates
from registry.console.pages import (
    AnyViewer,
    PageRoute,
    Sender,
    check_origin,
    go_to,
    local_path,
    read_form,
    respond,
)
from registry.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated
from registry.http.deps import SESSION_COOKIE, CurrentRegistry, record_refusal
from registry.sessions.models import LONGEST

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_YEAR = "public, max-age=31536000, immutable"


@router.get("/static/{name}")
async def get_static(name: str) -> Response:
    assets, _ = load_assets()
    if name not in assets:
        raise NotFound(f"static file {name}")
    asset = assets[name]
    headers = {"Cache-Control": _YEAR, "X-Content-Type-Options": "nosniff"}
    return Response(asset.content, media_type=asset.media_type, headers=headers)


@router.get("/login")
async def show_login(request: Request, registry: CurrentRegistry) -> Response:
    target = local_path(request.query_params.get("next", ""))
    if registry.settings.jamjet_dev_mode:
        return go_to(target)
    return respond(request, _form(target, None))


@router.post("/login")
async def log_in(request: Request, registry: CurrentRegistry) -> Response:
    check_origin(request)
    form = await read_form(request)
    target = local_path(form.get("next", ""))
    try:
        secure = _must_be_secure(request)
        token = form.get("token", "").strip().encode()
        opened = await registry.sessions.open(token, request.headers.get("user-agent", ""))
    except (Unauthenticated, Forbidden, InvalidRequest) as refusal:
        if not isinstance(refusal, InvalidRequest):
            await record_refusal(registry, request, refusal)
        return respond(request, _form(target, str(refusal)), 400 if isinstance(refusal, InvalidRequest) else 403)
    response = go_to(target)
    response.set_cookie(
        SESSION_COOKIE,
        opened.plaintext,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/logout")
async def log_out(viewer: Sender) -> Response:
    """This session, or with `all` every one of the token."""
    if viewer.session_id is not None:
        await viewer.registry.sessions.end(viewer.principal, None if viewer.text("all") else viewer.session_id)
    response = go_to("/console/login")
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.get("/sessions")
async def list_sessions(viewer: AnyViewer) -> Response:
    sessions = [] if viewer.session_id is None else await viewer.registry.sessions.list(viewer.principal)
    return viewer.page("sessions.html", sessions=sessions)


@router.post("/sessions/{session_id}/end")
async def end_session(viewer: Sender, session_id: str) -> Response:
    await viewer.registry.sessions.end(viewer.principal, session_id)
    return go_to("/console/sessions", "ended")


def _form(target: str, problem: str | None) -> str:
    return load_templates().get_template("login.html").render(next=target, problem=problem)


def _must_be_secure(request: Request) -> bool:
    """Whether the cookie is for https alone, as everywhere but on this machine. Raises `InvalidRequest` where it
    would not come back."""
    origin = request.headers["origin"]
    if origin.startswith("https://"):
        return True
    host = (
        request.headers["host"].rpartition(":")[0] if ":" in request.headers["host"] else request.headers["host"]
    )
    if is_loopback(host.strip("[]")):
        return False
    raise InvalidRequest(
        "over plain http the token and the session could be read on the way: open the console by https, or on the"
        " machine itself at 127.0.0.1 (such as through ssh -L 7700:127.0.0.1:7700)"
    )
