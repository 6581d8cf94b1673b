"""Nodes that choose an agent, which a later node asks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundwork.postgres.pool import Pool
from registry.agents.models import Selection
from registry.engine import policies as rules
from registry.engine.executors.model import request_for
from registry.engine.executors.policy import load_policies
from registry.engine.executors.registered import Candidate, list_candidates
from registry.engine.mapping import render
from registry.engine.policies import BadPolicy
from registry.engine.visits import Visit, kind_of
from registry.executions.events import Completed, Event, Failed, Outcome
from registry.outbound.model_calls import ModelCallFailed, user
from registry.outbound.models import Models
from registry.workflows.kinds import AgentDiscovery, Coordinator, Tiebreaker

_MOST_SHOWN = 50
_CLASSES = {"low": 1.0, "medium": 0.7, "high": 0.4}
_UNKNOWN = 0.5
_DIMENSIONS = ("capability_fit", "cost_fit", "latency_fit", "trust_compatibility", "historical_performance")


@dataclass(frozen=True)
class Ranked:
    """A candidate, and how well it fits, from 0 to 1."""

    candidate: Candidate
    scores: dict[str, float]
    composite: float


@dataclass(frozen=True)
class Decision:
    selected: Ranked
    method: str
    reasoning: str | None = None
    usage: dict[str, Any] | None = None


async def agent_discovery(visit: Visit, pool: Pool) -> Outcome:
    """The URI of the first living agent with the skill goes to the node's `output_binding`."""
    kind = kind_of(visit, AgentDiscovery)
    selection = Selection(status="active", alive=True, skills=[kind.skill], protocol=kind.protocol)
    async for found in list_candidates(visit, pool, selection):
        return Completed({"agent_id": found.agent_id, "uri": found.uri}, {kind.output_binding: found.uri})
    return Failed(f"no agent with the skill {kind.skill} is alive", retryable=True, kind="io_error")


async def coordinator(visit: Visit, pool: Pool, models: Models) -> Outcome:
    """The URI of the living agent that fits best goes to the node's `output_key`.

    It has to have every required skill, and be of the trust domain if there is one; of the rest, how many of the
    preferred skills it has counts, and what its card says under `cost_class` and `latency_class`. How agents have
    done before is not known, and what they cost neither, so that a `budget` excludes nobody.
    """
    kind = kind_of(visit, Coordinator)
    fitting, unfit = await _discover(visit, pool, kind)
    discovery = _discovery(visit, kind, fitting, unfit)
    if not fitting:
        nobody = _decision(visit, None, [])
        skills = ", ".join(kind.required_skills)
        needed = f" with the skills {skills}" if skills else ""
        return Failed(f"no agent{needed} is alive", retryable=True, kind="io_error", events=[discovery, nobody])
    ranking = rank(kind, fitting)
    scoring = _scoring(visit, kind, ranking)
    try:
        decision = await _decide(visit, pool, models, kind, ranking)
    except BadPolicy as error:
        return Failed(str(error))
    uri = decision.selected.candidate.uri
    return Completed(
        output={kind.output_key: uri},
        patch={kind.output_key: uri},
        events=[discovery, scoring, _decision(visit, decision, ranking)],
        usage=decision.usage or {},
    )


def rank(kind: Coordinator, candidates: Sequence[Candidate]) -> list[Ranked]:
    """The best first; those that are equally good in the order of their ids."""
    ranked = [_ranked(kind, candidate) for candidate in candidates]
    return sorted(ranked, key=lambda each: (-each.composite, each.candidate.agent_id))


def _ranked(kind: Coordinator, candidate: Candidate) -> Ranked:
    preferred = [skill.lower() for skill in kind.preferred_skills]
    matched = sum(skill in candidate.skills for skill in preferred)
    scores = {
        "capability_fit": (1 + matched) / (1 + len(preferred)),
        "cost_fit": _CLASSES.get(candidate.field("cost_class") or "", _UNKNOWN),
        "latency_fit": _CLASSES.get(candidate.field("latency_class") or "", _UNKNOWN),
        "trust_compatibility": 1.0 if candidate.field("trust_domain") else _UNKNOWN,
        "historical_performance": _UNKNOWN,
    }
    weights = {name: getattr(kind.weights, name) for name in _DIMENSIONS}
    total = sum(weights.values())
    composite = sum(scores[name] * weights[name] for name in _DIMENSIONS) / total if total else 0.0
    return Ranked(candidate, scores, round(composite, 6))


async def _discover(visit: Visit, pool: Pool, kind: Coordinator) -> tuple[list[Candidate], list[dict[str, str]]]:
    required = frozenset(skill.lower() for skill in kind.required_skills)
    selection = Selection(status="active", alive=True, skills=sorted(required) or None)
    fitting, unfit = [], []
    async for candidate in list_candidates(visit, pool, selection):
        missing = required - candidate.skills
        if missing:
            unfit.append({"uri": candidate.uri, "reason": f"missing skills: {', '.join(sorted(missing))}"})
        elif kind.trust_domain is not None and candidate.field("trust_domain") != kind.trust_domain:
            unfit.append({"uri": candidate.uri, "reason": f"not of the trust domain {kind.trust_domain}"})
        else:
            fitting.append(candidate)
    return fitting, unfit


async def _decide(
    visit: Visit, pool: Pool, models: Models, kind: Coordinator, ranking: Sequence[Ranked]
) -> Decision:
    if len(ranking) == 1:
        return Decision(ranking[0], "single_candidate")
    tiebreaker = kind.tiebreaker
    if tiebreaker is None or _spread(ranking) > tiebreaker.threshold:
        return Decision(ranking[0], "structured")
    model_id = rules.model_id(visit.execution.workflow, tiebreaker.model)
    verdict = rules.model_allowed(await load_policies(visit, pool), model_id)
    if verdict.decision == "blocked":
        return Decision(ranking[0], "tiebreaker_failed", verdict.reason)
    return await _ask_model(visit, models, kind, tiebreaker, ranking[: tiebreaker.max_candidates])


async def _ask_model(
    visit: Visit, models: Models, kind: Coordinator, tiebreaker: Tiebreaker, tied: Sequence[Ranked]
) -> Decision:
    """A model that fails, or names nobody of them, leaves the decision to the scores."""
    request = request_for(visit, tiebreaker.model, [user(_prompt(visit, kind, tied))])
    try:
        answer = await models.complete(request)
    except ModelCallFailed as error:
        return Decision(tied[0], "tiebreaker_failed", str(error))
    chosen = [each for each in tied if each.candidate.agent_id == answer.content.strip().strip("\"'`.")]
    if not chosen:
        return Decision(tied[0], "tiebreaker_failed", "the model named none of them", dict(answer.usage))
    return Decision(chosen[0], "llm_tiebreaker", None, dict(answer.usage))


def _prompt(visit: Visit, kind: Coordinator, tied: Sequence[Ranked]) -> str:
    described = [
        {
            "id": each.candidate.agent_id,
            "description": each.candidate.field("description") or "",
            "skills": sorted(each.candidate.skills),
        }
        for each in tied
    ]
    return (
        f"Which of these agents should do this task: {render(kind.task, visit.scope, visit.budget)}\n\n"
        f"{json.dumps(described, ensure_ascii=False, indent=1)}\n\n"
        "Answer with the id of one of them, and nothing else."
    )


def _spread(ranking: Sequence[Ranked]) -> float:
    return round(ranking[0].composite - ranking[1].composite, 6) if len(ranking) > 1 else 1.0


def _discovery(
    visit: Visit, kind: Coordinator, fitting: Sequence[Candidate], unfit: Sequence[dict[str, str]]
) -> Event:
    told = {
        "query_skills": list(kind.required_skills),
        "query_trust_domain": kind.trust_domain,
        "candidates": [{"uri": each.uri, "skills": sorted(each.skills)} for each in fitting[:_MOST_SHOWN]],
        "filtered_out": list(unfit[:_MOST_SHOWN]),
    }
    return Event("coordinator_discovery", visit.node.node_id, told)


def _scoring(visit: Visit, kind: Coordinator, ranking: Sequence[Ranked]) -> Event:
    rankings = [
        {"uri": each.candidate.uri, "scores": each.scores, "composite": each.composite}
        for each in ranking[:_MOST_SHOWN]
    ]
    told = {"rankings": rankings, "spread": _spread(ranking), "weights": kind.weights.model_dump()}
    return Event("coordinator_scoring", visit.node.node_id, told)


def _decision(visit: Visit, decision: Decision | None, ranking: Sequence[Ranked]) -> Event:
    selected = decision.selected if decision else None
    told = {
        "selected": selected.candidate.uri if selected else None,
        "method": decision.method if decision else "no_candidates",
        "reasoning": decision.reasoning if decision else None,
        "confidence": selected.composite if selected else 0.0,
        "rejected": [
            {"uri": each.candidate.uri, "reason": "lower score"}
            for each in ranking[:_MOST_SHOWN]
            if each is not selected
        ],
    }
    return Event("coordinator_decision", visit.node.node_id, told)
