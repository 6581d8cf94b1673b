"""What policies say about tools and models, alone and together."""

import time
from typing import Any

import pytest

from groundwork.postgres.pool import Pool
from registry.access import COMMAND_LINE
from registry.engine.policies import (
    BadPolicy,
    Policies,
    model_allowed,
    read_policy,
    tool_name,
    tool_verdict,
    violations,
)
from registry.executions.events import Completed, Failed, Outcome
from registry.outbound.models import Models
from registry.tenants.models import TenantChanges
from registry.tenants.service import Tenants
from registry.workflows.specs import Policy
from registry.workflows.validation import read_workflow
from tests.registry.engine.visits import run, settings, visit_of
from tests.registry.engine.workflows import document


def policy(blocked: str = "", approval: str = "", models: str = "") -> Policy:
    return Policy(
        blocked_tools=tuple(blocked.split()),
        require_approval_for=tuple(approval.split()),
        model_allowlist=tuple(models.split()),
    )


def test_without_policies_everything_is_allowed():
    assert tool_verdict(Policies(), "shell.run").decision == "allowed"
    assert model_allowed(Policies(), "openai/gpt-4o").decision == "allowed"


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("delete_user", "delete_user", True),
        ("delete", "delete_user", False),
        ("shell.*", "shell.run", True),
        ("shell.*", "shell", False),
        ("*", "", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*_user*", "delete_user", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("shell.*", "shell.\nrun", True),
        ("Shell.*", "shell.run", False),
    ],
)
def test_patterns_have_stars_and_question_marks_and_nothing_else(pattern: str, name: str, matches: bool):
    verdict = tool_verdict(Policies(workflow=policy(pattern)), name)
    assert (verdict.decision == "blocked") == matches


def test_a_pattern_of_many_stars_takes_no_time():
    began = time.monotonic()
    assert tool_verdict(Policies(workflow=policy("*a" * 60 + "b")), "a" * 255).decision == "allowed"
    assert time.monotonic() - began < 1


def test_in_one_policy_blocked_wins_over_approval():
    verdict = tool_verdict(Policies(node=policy(blocked="pay.*", approval="*")), "pay.out")
    assert (verdict.decision, verdict.rule, verdict.scope) == ("blocked", "block_tool:pay.*", "node")


def test_the_more_specific_policy_decides():
    both = Policies(workflow=policy(blocked="delete_*"), node=policy(approval="delete_user"))
    assert tool_verdict(both, "delete_user").decision == "require_approval"
    assert tool_verdict(both, "delete_all").decision == "blocked"


def test_what_the_tenant_blocks_nobody_unblocks():
    every = Policies(policy(blocked="delete_*"), policy(approval="delete_user"), policy(approval="*"))
    verdict = tool_verdict(every, "delete_user")
    assert (verdict.decision, verdict.scope) == ("blocked", "tenant")


def test_a_model_has_to_be_on_every_list():
    lists = Policies(policy(models="anthropic/* openai/gpt-4o"), policy(models="*/gpt-*"))
    assert model_allowed(lists, "openai/gpt-4o").decision == "allowed"
    assert model_allowed(lists, "openai/gpt-4.1").scope == "tenant"
    assert model_allowed(lists, "anthropic/claude").scope == "workflow"


@pytest.mark.parametrize("given", [{"blocked_tools": "shell"}, {"model_allowlist": [1]}])
def test_a_tenants_policy_that_cannot_be_read_is_not_taken_for_none(given: dict[str, object]):
    with pytest.raises(BadPolicy, match=next(iter(given))):
        read_policy(given)


def test_what_a_policy_does_not_know_is_left_alone():
    assert read_policy({"blocked_tools": ["a"], "policies": {}, "note": 1}).blocked_tools == ("a",)


def test_nodes_are_known_by_the_names_of_their_tools():
    workflow = read_workflow(
        document(
            {
                "pay": {"type": "tool", "tool_ref": "pay.out"},
                "read": {"type": "mcp_tool", "server": "files", "tool": "read"},
                "ask": {"type": "a2a_task", "remote_agent": "helper", "skill": "translate"},
                "call": {"type": "agent", "agent_ref": "helper"},
                "end_": {"type": "end"},
            },
            [("pay", "read"), ("read", "ask"), ("ask", "call"), ("call", "end_")],
            tools={"pay.out": {"kind": "http", "reference": "https://pay.test"}},
            mcp_servers={"files": {"transport": "http_sse", "url": "https://files.test"}},
            remote_agents={"helper": {"url": "https://helper.test"}},
        )
    )
    names = {node_id: tool_name(node.kind) for node_id, node in workflow.nodes.items()}
    assert names == {"pay": "pay.out", "read": "read", "ask": "translate", "call": "helper", "end_": None}


def test_a_model_is_known_by_its_id_and_by_the_tools_it_is_offered():
    tool = {"type": "function", "function": {"name": "shell.run"}}
    workflow = read_workflow(
        document(
            {"ask": {"type": "model", "model_ref": "chat", "prompt_ref": "Hi", "tools": [tool]}},
            [],
            models={"chat": {"provider": "openai", "model": "gpt-4o"}},
        )
    )
    both = Policies(workflow=policy(blocked="shell.*", models="chat"))
    reasons = [verdict.reason for verdict in violations(both, workflow, workflow.nodes["ask"])]
    assert len(reasons) == 2
    assert "openai/gpt-4o" in reasons[1]


# Nodes that check


def guarded(on_violation: Any, policy_ref: str = "") -> dict[str, Any]:
    """A check, behind it a tool, and beside them where the run goes when the check finds something."""
    nodes = {
        "guard": {"type": "policy", "policy_ref": policy_ref, "on_violation": on_violation},
        "pay": {"type": "tool", "tool_ref": "pay.out"},
        "stop": {"type": "tool", "tool_ref": "pay.back"},
    }
    tools = {name: {"kind": "http", "reference": "https://pay.test"} for name in ("pay.out", "pay.back")}
    return document(nodes, [("guard", "pay"), ("pay", "end"), ("stop", "end")], tools=tools)


async def check(pool: Pool, flow: dict[str, Any], tenant: dict[str, Any] | None = None) -> Outcome:
    await Tenants(pool).update_tenant(COMMAND_LINE, "default", TenantChanges(policy=tenant or {}))
    return await run(visit_of(flow), pool, Models(settings()))


async def test_a_check_lets_pass_what_nobody_blocks(registry_pool: Pool):
    outcome = await check(registry_pool, guarded("fail"), {"blocked_tools": ["shell.*"]})
    assert outcome == Completed(output={"passed": True, "violations": []}, events=[])


async def test_a_check_fails_before_the_blocked_tool_is_reached(registry_pool: Pool):
    outcome = await check(registry_pool, guarded("fail"), {"blocked_tools": ["pay.*"]})
    assert isinstance(outcome, Failed)
    assert "node pay: pay.out is blocked by 'pay.*' in the tenant's policy" in outcome.error
    assert [event.type for event in outcome.events] == ["policy_violation"]


async def test_a_check_can_only_warn(registry_pool: Pool):
    outcome = await check(registry_pool, guarded("warn"), {"blocked_tools": ["pay.out"]})
    assert isinstance(outcome, Completed)
    assert (outcome.goto, outcome.output["passed"], len(outcome.events)) == (None, False, 1)


async def test_a_check_can_lead_elsewhere_and_does_not_look_there(registry_pool: Pool):
    elsewhere = guarded({"branch": {"target": "stop"}})
    found = await check(registry_pool, elsewhere, {"blocked_tools": ["pay.out"]})
    passed = await check(registry_pool, elsewhere, {"blocked_tools": ["pay.back"]})
    assert isinstance(found, Completed)
    assert isinstance(passed, Completed)
    assert (found.goto, passed.goto) == ("stop", None)


async def test_a_check_can_name_one_of_the_tenants_policies(registry_pool: Pool):
    tenant = {"policies": {"pii": {"blocked_tools": ["pay.*"]}}}
    assert isinstance(await check(registry_pool, guarded("fail", "pii"), tenant), Failed)
    assert isinstance(await check(registry_pool, guarded("fail"), tenant), Completed)


@pytest.mark.parametrize("policies", [{}, {"pii": []}, {"pii": {"blocked_tools": "pay"}}, None])
async def test_a_policy_that_is_not_there_lets_nothing_pass(registry_pool: Pool, policies: Any):
    outcome = await check(registry_pool, guarded("warn", "pii"), {"policies": policies})
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("a policy of the tenant cannot be used: ")
