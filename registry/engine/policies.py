"""What the policies of a tenant, a workflow and a node say about tools and models. Pure.

A policy names tools and models by patterns, in which `*` is any text and `?` any character.
"""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pydantic import ValidationError

from registry.executions.events import Event
from registry.workflows import kinds
from registry.workflows.ir import Node, Workflow
from registry.workflows.kinds import Kind
from registry.workflows.specs import Policy


class BadPolicy(ValueError):
    """A tenant's policy cannot be read; the message says what is wrong with it."""


@dataclass(frozen=True)
class Verdict:
    """What policies say. `rule`, of the policy of `scope`, has decided; both are empty when there is none."""

    decision: Literal["allowed", "require_approval", "blocked"] = "allowed"
    reason: str = ""
    rule: str = ""
    scope: str = ""


ALLOWED = Verdict()


@dataclass(frozen=True)
class Policies:
    """The policies that a node is under."""

    tenant: Policy | None = None
    workflow: Policy | None = None
    node: Policy | None = None

    def by_scope(self) -> Iterator[tuple[str, Policy]]:
        """From the most specific to the most general, without those that are not there."""
        given = (("node", self.node), ("workflow", self.workflow), ("tenant", self.tenant))
        return ((scope, policy) for scope, policy in given if policy is not None)


def tool_verdict(policies: Policies, name: str) -> Verdict:
    """Whether the tool may be used.

    Within a policy, what is blocked is blocked, though somebody might approve of it. Of several policies the most
    specific that says something decides; but what the tenant blocks no workflow unblocks by asking for approval.
    """
    said = [_said_of_tool(policy, scope, name) for scope, policy in policies.by_scope()]
    rules = [verdict for verdict in said if verdict.rule]
    final = [verdict for verdict in rules if verdict.scope == "tenant" and verdict.decision == "blocked"]
    return next(iter([*final, *rules]), ALLOWED)


def model_allowed(policies: Policies, model_id: str) -> Verdict:
    """Whether the model may be called: each policy that lists models has to list this one.

    A model goes by its whole id, `provider/model` where its provider is known: a list with `gpt-*` does not allow
    `openai/gpt-4o`; one with `*gpt-*` does.
    """
    for scope, policy in policies.by_scope():
        listed = policy.model_allowlist
        if listed and not any(_matches(pattern, model_id) for pattern in listed):
            reason = f"the model {model_id} is not on the list of the {scope}'s policy"
            return Verdict("blocked", reason, f"model_allowlist:{','.join(listed)}", scope)
    return ALLOWED


def read_policy(document: Mapping[str, Any]) -> Policy:
    """The policy that a tenant was given. Raises `BadPolicy`: a rule that cannot be read is not taken for none."""
    try:
        return Policy.model_validate(dict(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadPolicy(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None


def tool_name(kind: Kind) -> str | None:
    """What policies know a node of that kind by; None when it uses no tool."""
    match kind:
        case kinds.Tool(tool_ref=name) | kinds.Finalizer(tool_ref=name):
            return name
        case kinds.McpTool(tool=name) | kinds.AgentCall(agent_ref=name):
            return name
        case kinds.A2ATask(skill=skill, remote_agent=agent):
            return skill or agent
        case kinds.AgentTool(explicit=str(name)):
            return name
    return None


def model_id(workflow: Workflow, model_ref: str) -> str:
    """The id of the model that a node refers to: by a key of the workflow's models, or by the id itself."""
    spec = workflow.models.get(model_ref)
    return spec.model_id if spec else model_ref


def violations(policies: Policies, workflow: Workflow, node: Node) -> list[Verdict]:
    """What is blocked of that which the node uses: its tool, its model, the tools that it offers to the model."""
    found = [tool_verdict(policies, name) for name in _tools_of(node.kind)]
    found += [model_allowed(policies, model_id(workflow, name)) for name in _models_of(node.kind)]
    return [verdict for verdict in found if verdict.decision == "blocked"]


def violation_event(node_id: str, verdict: Verdict) -> Event:
    data = {"rule": verdict.rule, "decision": verdict.decision, "policy_scope": verdict.scope}
    return Event("policy_violation", node_id, data)


def _tools_of(kind: Kind) -> Iterator[str]:
    name = tool_name(kind)
    if name is not None:
        yield name
    if isinstance(kind, kinds.Model):
        functions = [tool.get("function") for tool in kind.tools]
        yield from (str(each["name"]) for each in functions if isinstance(each, Mapping) and "name" in each)


def _models_of(kind: Kind) -> Iterator[str]:
    if isinstance(kind, kinds.Model):
        yield kind.model_ref
    if isinstance(kind, kinds.Eval):
        yield from (scorer.model for scorer in kind.scorers if isinstance(scorer, kinds.LlmJudge))
    if isinstance(kind, kinds.Coordinator) and kind.tiebreaker is not None:
        yield kind.tiebreaker.model


def _said_of_tool(policy: Policy, scope: str, name: str) -> Verdict:
    for pattern in policy.blocked_tools:
        if _matches(pattern, name):
            reason = f"{name} is blocked by {pattern!r} in the {scope}'s policy"
            return Verdict("blocked", reason, f"block_tool:{pattern}", scope)
    for pattern in policy.require_approval_for:
        if _matches(pattern, name):
            reason = f"{name} needs an approval by {pattern!r} in the {scope}'s policy"
            return Verdict("require_approval", reason, f"require_approval:{pattern}", scope)
    return ALLOWED


def _matches(pattern: str, name: str) -> bool:
    return _compiled(pattern).match(name) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # As files are matched, except that brackets stand for themselves. Many stars take no longer than one.
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
