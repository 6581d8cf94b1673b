"""The public URL on the agent card."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from admin_api.body import body_of
from admin_api.deps import Agent
from admin_api.envelope import answer_of, ok
from admin_api.errors import InvalidBody, PayloadTooLarge
from admin_api.openapi import body, failures
from admin_api.parameters import NoQuery, Parameters
from admin_api.routes import AdminRoute

router = APIRouter(prefix="/api/v1/card", route_class=AdminRoute, tags=["card"])


class CardUrlBody(Parameters):
    url: Annotated[
        str,
        Field(
            description="an absolute http or https URL with a host, without credentials or fragment",
            # In the document only; what is accepted is decided by `CardUrl`.
            json_schema_extra={"format": "uri", "pattern": r"^https?://[^\s/?#@]+([/?][^\s#]*)?$"},
        ),
    ]


class CardUrlData(TypedDict):
    url: str


class CardUrlChangeData(TypedDict):
    url: str
    previous_url: str
    persisted: bool


@router.get("/url", response_model=answer_of(CardUrlData), responses=failures())
async def get_card_url(agent: Agent, _: NoQuery) -> Response:
    """The URL in force."""
    return ok({"url": agent.card_url.url})


@router.patch(
    "/url",
    response_model=answer_of(CardUrlChangeData),
    responses=failures(InvalidBody, PayloadTooLarge),
    openapi_extra=body(CardUrlBody),
)
async def change_card_url(
    agent: Agent, wanted: Annotated[CardUrlBody, body_of(CardUrlBody)], _: NoQuery
) -> Response:
    """Takes effect at once on every card, and within a second on those of the agent's other processes.
    `persisted`: `.env` has it too, so it survives a restart."""
    change = await agent.live_settings.change_card_url(wanted.url)
    return ok({"url": change.url, "previous_url": change.previous_url, "persisted": change.persisted})
