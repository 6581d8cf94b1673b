"""The ways between nodes, whichever way a document states them."""

import pytest

from registry.errors import InvalidRequest
from registry.workflows.validation import read_workflow
from tests.registry.workflows.samples import ir


def _ways(*nodes, **more):
    return [
        (route.source, route.target, route.when, route.condition)
        for route in read_workflow(ir(*nodes, **more)).routes
    ]


def _step(node_id):
    return {"id": node_id, "type": "condition"}


def test_edges_keep_their_order_and_conditions():
    ways = _ways(_step("a"), _step("b"), edges=[("a", "end", "state.x"), ("a", "b"), ("a", "end")])
    assert ways == [
        ("a", "end", "completed", "state.x"),
        ("a", "b", "completed", None),
        ("a", "end", "completed", None),
    ]


def test_a_condition_with_branches_has_no_other_ways():
    branches = [{"condition": "state.x", "target": "b"}, {"condition": None, "target": "end"}]
    ways = _ways(
        {"id": "a", "type": "condition", "branches": branches}, _step("b"), edges=[("a", "a"), ("b", "end")]
    )
    assert ways == [
        ("a", "b", "branch", "state.x"),
        ("a", "end", "branch", None),
        ("b", "end", "completed", None),
    ]


def test_branches_of_a_fan_out_are_edges_and_count_once():
    nodes = [{"id": "p", "type": "parallel", "branches": ["a", "b", "a"]}, _step("a"), _step("b"), _step("c")]
    ways = _ways(*nodes, edges=[("p", "b"), ("p", "c"), ("p", "a", "state.x")])
    assert [way[1:] for way in ways] == [
        ("a", "completed", None),
        ("b", "completed", None),
        ("c", "completed", None),
        ("a", "completed", "state.x"),
    ]


def test_what_a_join_waits_for_leads_to_it():
    nodes = [_step("s"), _step("a"), _step("b"), {"id": "j", "type": "join", "wait_for": ["a", "b", "b"]}]
    ways = _ways(*nodes, edges=[("s", "a"), ("s", "b"), ("a", "j")])
    assert [(source, target) for source, target, *_ in ways] == [("s", "a"), ("s", "b"), ("a", "j"), ("b", "j")]


def test_a_join_cannot_wait_for_a_condition_that_leads_elsewhere():
    gate = {"id": "g", "type": "condition", "branches": [{"target": "end"}]}
    with pytest.raises(InvalidRequest, match="'g' is a condition with no branch to here"):
        read_workflow(ir(gate, {"id": "j", "type": "join", "wait_for": ["g"]}))


def test_a_policy_leads_to_its_branch_only_when_it_is_violated():
    check = {"id": "p", "type": "policy", "policy_ref": "pii", "on_violation": {"branch": {"target": "b"}}}
    ways = _ways(check, _step("a"), _step("b"), edges=[("p", "a"), ("p", "b")])
    assert ways == [("p", "a", "completed", None), ("p", "b", "violated", None)]


def test_a_fallback_is_a_way_of_its_own():
    approval = {"id": "a", "type": "human_approval", "fallback_node": "b"}
    ways = _ways(approval, _step("b"), edges=[("a", "b", "state.decision == 'rejected'")])
    assert ways == [("a", "b", "completed", "state.decision == 'rejected'"), ("a", "b", "timed_out", None)]


def test_an_end_leads_to_the_end():
    assert _ways({"id": "bye", "type": "end"}, edges=[]) == [("bye", "end", "completed", None)]


def test_ways_out_of_nodes_that_are_never_reached_are_left_out():
    workflow = read_workflow(ir(_step("a"), _step("b"), edges=[("a", "end"), ("b", "a")], start_node="a"))
    assert workflow.reachable == {"a"}
    assert [route.source for route in workflow.routes] == ["a"]


def test_a_loop_is_a_way_like_any_other():
    assert [way[:2] for way in _ways(_step("a"), _step("b"), edges=[("a", "b"), ("b", "a", "state.again")])] == [
        ("a", "b"),
        ("b", "a"),
    ]
