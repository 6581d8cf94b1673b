"""Every route of an app, as the app itself has them: also those that its OpenAPI document leaves out."""

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.types import ASGIApp

Operation = tuple[str, str]
"""Method and path pattern."""


def operations_of(app: ASGIApp) -> set[Operation]:
    """Each method and path that a route is there for; `HEAD` and `OPTIONS` apart, which follow the others."""
    while not hasattr(app, "routes"):
        app = app.app  # type: ignore[attr-defined]  # what wraps an app calls it so
    found = {
        (method, route.path)
        for route in _flat(app.routes)
        for method in route.methods or ("*",)
        if method not in ("HEAD", "OPTIONS")
    }
    assert found
    return found


def _flat(routes: Iterable[Any]) -> Iterator[Any]:
    """Newer releases of FastAPI keep an included router as one entry, older ones take its routes out."""
    for route in routes:
        inner = getattr(route, "original_router", route)
        if hasattr(inner, "routes"):
            yield from _flat(inner.routes)
        else:
            yield route
