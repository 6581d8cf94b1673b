"""What the published compilers emit is read, with their quirks."""

import pytest

from registry.errors import InvalidRequest
from registry.workflows import kinds
from registry.workflows.validation import read_workflow
from tests.registry.workflows.samples import SAMPLES, load_sample

HAS_A_KIND_THAT_CANNOT_BE_RUN = "16-misc-kinds.0.12"


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != HAS_A_KIND_THAT_CANNOT_BE_RUN])
def test_it_is_read(name):
    document = load_sample(name)
    workflow = read_workflow(document)
    assert (workflow.workflow_id, workflow.version) == (document["workflow_id"], document["version"])
    assert workflow.start_node == document["start_node"]
    assert {route.source for route in workflow.routes} <= workflow.reachable


def test_a_kind_that_cannot_be_run_is_refused_by_its_name():
    with pytest.raises(InvalidRequest) as refused:
        read_workflow(load_sample(HAS_A_KIND_THAT_CANNOT_BE_RUN))
    assert list(refused.value.problems) == [
        "ir.nodes.recall.kind.type: memory_retrieval cannot be run; this registry has no connector to a memory"
    ]


def test_without_that_kind_the_document_is_read():
    document = load_sample(HAS_A_KIND_THAT_CANNOT_BE_RUN)
    del document["nodes"]["recall"]
    document |= {"edges": document["edges"][1:], "start_node": "guard"}
    workflow = read_workflow(document)
    assert {type(node.kind) for node in workflow.nodes.values()} == {
        kinds.PolicyCheck,
        kinds.AgentDiscovery,
        kinds.JavaFn,
        kinds.AgentTool,
        kinds.LimitExceeded,
    }


def test_branches_without_edges_lead_to_their_targets_and_nowhere_else():
    workflow = read_workflow(load_sample("02"))
    ways = [(route.target, route.when, route.condition) for route in workflow.routes if route.source == "route"]
    assert ways == [("publish", "branch", "state.confidence >= 0.9"), ("revise", "branch", None)]


def test_a_node_that_only_a_question_leads_to_is_reached_by_it():
    workflow = read_workflow(load_sample("03"))
    [way] = [route for route in workflow.routes if route.target == "ask_human"]
    assert (way.source, way.when) == ("ask_peer", "input_required")


def test_a_node_that_nothing_leads_to_is_never_run():
    workflow = read_workflow(load_sample("06"))
    assert workflow.nodes.keys() - workflow.reachable == {"__limit_exceeded__"}


def test_legacy_kinds_are_what_they_would_be_today():
    workflow = read_workflow(load_sample("17"))
    assert [type(workflow.nodes[name].kind) for name in ("hold", "check", "bye")] == [
        kinds.Wait,
        kinds.Condition,
        kinds.End,
    ]


def test_a_bare_fan_out_follows_its_edges():
    workflow = read_workflow(load_sample("18"))
    assert [(route.source, route.target) for route in workflow.routes] == [
        ("gather", "a"),
        ("a", "merge"),
        ("merge", "end"),
    ]


def test_weights_that_the_sdk_leaves_out_are_all_alike():
    kind = read_workflow(load_sample("12")).nodes["pick"].kind
    assert isinstance(kind, kinds.Coordinator)
    assert set(kind.weights.model_dump().values()) == {1.0}


def test_budgets_and_limits_are_read():
    loop = read_workflow(load_sample("11"))
    assert (loop.cost_budget_usd, loop.token_budget.total_tokens) == (0.5, 20_000)
    assert read_workflow(load_sample("06")).strategy_limits.max_cost_usd == 0.2


def test_a_prompt_of_a_strategy_names_the_key_of_its_answer():
    workflow = read_workflow(load_sample("05"))
    kind = workflow.nodes["__finalize__"].kind
    assert isinstance(kind, kinds.Model)
    assert kind.output_key == "result"
