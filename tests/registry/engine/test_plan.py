"""Which node comes next."""

from itertools import pairwise
from typing import Any

from registry.engine.plan import Plan
from registry.workflows.validation import read_workflow
from tests.registry.engine.workflows import STEP, branches, document


def run(plan: Plan, state: dict[str, Any] | None = None, goto: dict[str, str] | None = None) -> list[str]:
    """The nodes in the order of a run in which everything of a step happens at once; skipped ones in brackets."""
    marks: dict[str, str | None] = {}
    ready, seen = [plan.start], []
    while ready:
        following: list[str] = []
        undecided = False
        for node in ready:
            seen.append(node)
            decision = plan.leave(node, {"state": state or {}}, goto=(goto or {}).get(node))
            marks.update(decision.marks)
            following += decision.ready
            seen += [f"({name})" for name in decision.skipped]
            undecided |= decision.undecided
        if undecided:
            settled = plan.settle({key: mark for key, mark in marks.items() if mark})
            marks.update(settled.marks)
            following += settled.ready
            seen += [f"({name})" for name in settled.skipped]
        ready = following
        assert len(seen) < 200
    return seen


def plan_of(nodes: dict[str, Any], edges: Any, **more: Any) -> Plan:
    return Plan(read_workflow(document(nodes, edges, **more)))


def test_a_chain_is_followed_to_its_end():
    plan = plan_of({"a": STEP, "b": STEP, "c": STEP}, [("a", "b"), ("b", "c"), ("c", "end")])
    assert run(plan) == ["a", "b", "c"]


def test_branches_of_unequal_length_meet_once():
    nodes = dict.fromkeys(("start", "short", "long", "longer", "meet"), STEP)
    ways = [("start", "short"), ("start", "long"), ("long", "longer"), ("short", "meet"), ("longer", "meet")]
    assert run(plan_of(nodes, ways)) == ["start", "short", "long", "longer", "meet"]


def test_the_way_that_a_condition_did_not_take_is_skipped_up_to_where_both_meet():
    nodes = {"if": branches(yes="state.ok", no=None), "yes": STEP, "no": STEP, "after_no": STEP, "meet": STEP}
    plan = plan_of(nodes, [("yes", "meet"), ("no", "after_no"), ("after_no", "meet")])
    assert run(plan, {"ok": True}) == ["if", "(no)", "(after_no)", "yes", "meet"]
    assert run(plan, {"ok": False}) == ["if", "(yes)", "no", "after_no", "meet"]


def test_a_node_that_every_way_passes_by_is_skipped():
    nodes = {
        "if": branches(left="state.x == 1", right=None),
        "left": STEP,
        "right": STEP,
        "meet": STEP,
        "aside": STEP,
    }
    plan = plan_of(
        {**nodes, "right": branches(end=None)}, [("left", "meet"), ("left", "aside"), ("aside", "meet")]
    )
    assert run(plan, {"x": 2}) == ["if", "(left)", "(aside)", "(meet)", "right"]


def test_a_loop_runs_until_its_condition_ends_it():
    nodes = {"work": STEP, "again": branches(work="state.more", done=None), "done": STEP}
    plan = plan_of(nodes, [("work", "again")])
    assert run(plan, {"more": False}) == ["work", "again", "done"]
    taken = run_rounds(plan, "again", rounds=3)
    assert taken == ["work", "again", "work", "again", "work", "again", "done"]


def run_rounds(plan: Plan, node: str, rounds: int) -> list[str]:
    """A run in which the condition at `node` holds all but the last time."""
    marks: dict[str, str | None] = {}
    ready, seen = [plan.start], []
    while ready:
        name = ready.pop()
        seen.append(name)
        more = seen.count(node) < rounds
        decision = plan.leave(name, {"state": {"more": more}})
        marks.update(decision.marks)
        ready += decision.ready
        if decision.undecided:
            settled = plan.settle({key: mark for key, mark in marks.items() if mark})
            marks.update(settled.marks)
            ready += settled.ready
    return seen


def test_branches_meet_again_in_every_round_of_a_loop():
    nodes = {"fork": STEP, "a": STEP, "b": STEP, "meet": branches(fork="state.more", done=None), "done": STEP}
    plan = plan_of(nodes, [("fork", "a"), ("fork", "b"), ("a", "meet"), ("b", "meet")])
    assert sorted(run_rounds(plan, "meet", rounds=2)) == sorted(["fork", "a", "b", "meet"] * 2 + ["done"])


def test_a_loop_within_a_loop_does_not_begin_the_outer_one_anew():
    nodes = {
        "if": branches(outer="state.x", other=None),
        "other": STEP,
        "outer": STEP,
        "inner": STEP,
        "again": branches(inner="state.more", last=None),
        "last": branches(outer="false", end=None),
    }
    plan = plan_of(nodes, [("other", "outer"), ("outer", "inner"), ("inner", "again")])
    assert run_rounds(plan, "again", rounds=2) == [
        "if",
        "other",
        "outer",
        "inner",
        "again",
        "inner",
        "again",
        "last",
    ]


def test_a_node_may_be_called_as_ways_are_marked():
    nodes = {"fork": STEP, "way 0": STEP, "way 1": STEP, "way 2": STEP, "last": STEP}
    ways = [("fork", "way 0"), ("fork", "way 1"), ("way 0", "way 2"), ("way 1", "way 2"), ("way 2", "last")]
    assert run(plan_of(nodes, ways)) == ["fork", "way 0", "way 1", "way 2", "last"]


def test_a_join_that_waits_for_the_first_runs_once():
    nodes = {
        "fork": STEP,
        "a": STEP,
        "b": STEP,
        "slow": STEP,
        "first": {"type": "join", "merge_strategy": "first"},
    }
    plan = plan_of(
        {**nodes, "last": STEP},
        [("fork", "a"), ("fork", "b"), ("b", "slow"), ("a", "first"), ("slow", "first"), ("first", "last")],
    )
    assert run(plan) == ["fork", "a", "b", "slow", "first", "last"] or run(plan).count("first") == 1


def test_the_first_condition_that_holds_decides_and_else_all_ways_without_one():
    nodes = dict.fromkeys(("a", "b", "c", "d"), STEP)
    ways = {("a", "b"): "state.x > 1", ("a", "c"): None, ("a", "d"): None}
    plan = plan_of(nodes, ways)
    assert run(plan, {"x": 2}) == ["a", "(c)", "(d)", "b"]
    assert run(plan, {"x": 0}) == ["a", "(b)", "c", "d"]


def test_a_chain_of_thousands_of_nodes_is_planned():
    names = [f"n{number}" for number in range(1500)]
    plan = plan_of(dict.fromkeys(names, STEP), list(pairwise(names)))
    assert plan.leave("n0", {"state": {}}).ready == ["n1"]
