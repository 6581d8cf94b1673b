"""The page of what agents and executions have used: plots by day, and who has used most."""

from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from registry.console.pages import AnyViewer, PageRoute
from registry.console.plots import draw_bars
from registry.usage.models import UsageQuery

router = APIRouter(prefix="/usage", route_class=PageRoute, include_in_schema=False)

_MOST_DAYS = 60
_COUNTS = ("turns", "failed", "input_tokens", "output_tokens", "executions", "executions_failed")
_NOTHING: dict[str, Any] = dict.fromkeys(_COUNTS, 0)


@router.get("")
async def show_usage(viewer: AnyViewer) -> Response:
    query = viewer.query(UsageQuery)
    usage = await viewer.registry.usage.sum_usage(viewer.principal, query)
    by_day = await viewer.registry.usage.sum_usage(
        viewer.principal, query.model_copy(update={"by": "day", "limit": _MOST_DAYS})
    )
    days = _without_gaps(by_day["usage"])
    tokens = [(day["key"], day["input_tokens"] + day["output_tokens"], 0) for day in days]
    plots = {
        "Turns of agents": draw_bars([(day["key"], day["turns"], day["failed"]) for day in days]),
        "Tokens of agents": draw_bars(tokens),
        "Executions": draw_bars([(day["key"], day["executions"], day["executions_failed"]) for day in days]),
    }
    return viewer.page(
        "usage.html", query=query, usage=usage, plots={name: plot for name, plot in plots.items() if plot}
    )


def _without_gaps(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The days in their order, with those between in which nothing was used."""
    known = {date.fromisoformat(group["key"]): group for group in groups}
    if not known:
        return []
    last = max(known)
    first = max(min(known), last - timedelta(days=_MOST_DAYS - 1))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [known.get(day, {**_NOTHING, "key": day.isoformat()}) for day in days]
