"""Routes that are made when the first request for one of them comes: a start does not wait for them."""

from collections.abc import Callable, Sequence
from functools import cached_property

from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

_SELECTED = "deferred_route"


class DeferredRoutes(BaseRoute):
    """The routes that `make` gives, of which each path begins with one of the `beginnings`, such as `/threads`.

    They stand in no OpenAPI document of the app that has them.
    """

    def __init__(self, beginnings: Sequence[str], make: Callable[[], Sequence[BaseRoute]]) -> None:
        self._beginnings = frozenset(beginnings)
        self._make = make

    @cached_property
    def routes(self) -> Sequence[BaseRoute]:
        """Each of them, made now if nobody has asked for any before. Raises `ValueError` for one that no request
        would reach."""
        made = self._make()
        for route in made:
            path: str = getattr(route, "path", "")
            if _beginning(path) not in self._beginnings:
                raise ValueError(f"{path} begins like none of {sorted(self._beginnings)}")
        return made

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the match of the first route that takes the request, else of the first that has its path."""
        partial: tuple[Match, Scope] | None = None
        if _beginning(scope["path"].removeprefix(scope.get("root_path", ""))) in self._beginnings:
            for route in self.routes:
                match, child_scope = route.matches(scope)
                selected = match, {**child_scope, _SELECTED: route}
                if match == Match.FULL:
                    return selected
                if match == Match.PARTIAL:
                    partial = partial or selected
        return partial or (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the route answer that has matched."""
        await scope[_SELECTED].handle(scope, receive, send)


def _beginning(path: str) -> str:
    return "/" + path.removeprefix("/").partition("/")[0]
