"""Routes that are made with the first request for one of them."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from groundwork.http.deferred import DeferredRoutes


async def test_they_are_made_once_and_only_when_somebody_asks_for_one() -> None:
    made = []

    async def answer(request: Request) -> Response:
        return PlainTextResponse(request.path_params["name"])

    def make() -> list[BaseRoute]:
        made.append("once")
        return [Route("/things/{name}", answer, methods=["PUT"]), Route("/things/{name}", answer)]

    app = Starlette(routes=[DeferredRoutes(("/things",), make), Route("/others/{name}", answer)])
    transport = httpx.ASGITransport(app, root_path="/below")
    async with httpx.AsyncClient(transport=transport, base_url="http://here/below") as http:
        assert (await http.get("/others/a")).text == "a"
        assert made == []
        assert (await http.get("/things/b")).text == "b"
        assert (await http.put("/things/c")).text == "c"
        assert [(await http.delete(path)).status_code for path in ("/things/c", "/things", "/")] == [405, 404, 404]
    assert made == ["once"]


def test_a_route_that_no_request_would_reach_is_refused() -> None:
    deferred = DeferredRoutes(("/things",), lambda: [Route("/other/thing", lambda request: Response())])
    with pytest.raises(ValueError, match="/other/thing"):
        _ = deferred.routes
