"""Routes of decisions: for people, who make them, and for agents, which say what they have asked."""

from typing import Annotated

from starlette.responses import Response
from typing_extensions import TypedDict

from groundwork.http.labels import read_label_filter
from groundwork.http.openapi import DocumentedRouter
from registry.decisions.models import (
    BulkResult,
    DecisionAnswer,
    DecisionBody,
    DecisionsAnswer,
    DecisionsBody,
    DecisionsMadeAnswer,
    DecisionsQuery,
    show_decision,
)
from registry.errors import (
    AgentAway,
    AlreadyDecided,
    Conflict,
    LimitReached,
    NotFound,
    RegistryError,
)
from registry.http.deps import CurrentRegistry, Decider, Reader, RegistryRoute, Writer, body_of, query_of
from registry.http.errors import JsonResponse, status_of
from registry.http.openapi import described, failures
from registry.questions.models import Question, QuestionsBody, Selection

router = DocumentedRouter(route_class=RegistryRoute, tags=["decisions"])


class WantedAnswer(TypedDict):
    wanted: list[str]


@router.get(
    "/decisions",
    response_model=DecisionsAnswer,
    responses=failures(),
    openapi_extra=described(query=DecisionsQuery),
)
async def list_decisions(
    principal: Reader, registry: CurrentRegistry, query: Annotated[DecisionsQuery, query_of(DecisionsQuery)]
) -> Response:
    """All that waits for a person: nodes of workflows, and what agents have asked; the longest waiting first. With
    `state=decided` or `withdrawn` what has become of others, for 30 days, the newest first."""
    labels = read_label_filter(query.label) if query.label is not None else None
    selection = Selection(query.state, query.kind, query.agent_id, query.workflow_id, labels)
    page = await registry.decisions.list_decisions(principal, selection, query.limit, query.cursor)
    return JsonResponse(
        {"decisions": [show_decision(question) for question in page.questions], "next_cursor": page.next_position}
    )


@router.get("/decisions/{decision_id}", response_model=DecisionAnswer, responses=failures(NotFound))
async def get_decision(principal: Reader, registry: CurrentRegistry, decision_id: str) -> Response:
    """What is asked, by whom, and what was decided."""
    return JsonResponse(show_decision(await registry.decisions.get_decision(principal, decision_id)))


@router.post(
    "/decisions/{decision_id}",
    response_model=DecisionAnswer,
    responses=failures(NotFound, Conflict, LimitReached, AgentAway),
    openapi_extra=described(body=DecisionBody),
)
async def decide(
    principal: Decider,
    registry: CurrentRegistry,
    decision_id: str,
    body: Annotated[DecisionBody, body_of(DecisionBody)],
) -> Response:
    """Approves or rejects what waits for it, or answers what was asked. Of any number of answers one counts: the
    others get 409 with who decided, and so does an answer with the digest of another question. 503: the agent
    cannot be told now, and its question waits as before. `delivered` is false while the agent has not confirmed
    that it knows; it is told again until it does."""
    return JsonResponse(show_decision(await registry.decisions.decide(principal, decision_id, body)))


@router.post(
    "/decisions:bulk",
    response_model=DecisionsMadeAnswer,
    responses=failures(),
    openapi_extra=described(body=DecisionsBody),
)
async def decide_many(
    principal: Decider, registry: CurrentRegistry, body: Annotated[DecisionsBody, body_of(DecisionsBody)]
) -> Response:
    """Makes up to 100 decisions, each by itself; for each the status that it would have had alone."""
    made = await registry.decisions.decide_many(principal, body.decisions)
    results = [_result(one.decision_id, came) for one, came in zip(body.decisions, made, strict=True)]
    return JsonResponse({"results": results})


@router.put(
    "/agents/{agent_id}/questions",
    response_model=WantedAnswer,
    responses=failures(NotFound),
    openapi_extra=described(body=QuestionsBody),
)
async def report_questions(
    principal: Writer,
    registry: CurrentRegistry,
    agent_id: str,
    body: Annotated[QuestionsBody, body_of(QuestionsBody)],
) -> Response:
    """An agent says which questions it has open now; the others that were known of it are open no more. Of those
    that are `wanted` it has not said yet what they ask."""
    return JsonResponse({"wanted": await registry.decisions.report(principal, agent_id, body)})


def _result(decision_id: str, came: Question | RegistryError) -> BulkResult:
    if isinstance(came, Question):
        return {"decision_id": decision_id, "status": 200, "decision": show_decision(came)}
    result: BulkResult = {"decision_id": decision_id, "status": status_of(type(came)), "error": str(came)}
    if isinstance(came, AlreadyDecided) and came.decided_by:
        result["decided_by"] = came.decided_by
    return result
