"""What a node is given of the state."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.mapping import render, resolve
from registry.workflows.evaluation_budget import EvaluationBudget, EvaluationTooLarge

SCOPE = {
    "state": {
        "topic": "rain",
        "count": 3,
        "ratio": 0.5,
        "on": False,
        "items": [{"sku": "a", "n": 1}],
        "my-key": "dashed",
        "template": "{{ state.topic }}",
        "none": None,
    },
    "output": {"text": "hello"},
    "env": {"REGION": "eu"},
}


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ("{{ state.count }}", 3),
        ("{{state.items}}", [{"sku": "a", "n": 1}]),
        ("  {{ state.on }}  ", False),
        ("{{ state.items.0.n }}", 1),
        ('{{ state["my-key"] }}', "dashed"),
        ("{{ topic }}", "rain"),
        ("{{ output.text }}", "hello"),
        ("{{ output }}", {"text": "hello"}),
        ("{{ env.REGION }}", "eu"),
        ("{{ env.HOME }}", None),
        ("state.topic", "rain"),
        ("state.items[0].sku", "a"),
        ("state.absent", None),
        ("$state.items", [{"sku": "a", "n": 1}]),
        ("$state", SCOPE["state"]),
        ("$output.text", "hello"),
        ("output.text", "hello"),
        ("{{ state.count }} of {{ state.topic }}", "3 of rain"),
    ],
)
def test_a_reference_becomes_what_it_leads_to(value, resolved):
    assert resolve(value, SCOPE, EvaluationBudget()) == resolved


@pytest.mark.parametrize(
    "value",
    [
        "rain",
        "state",
        "output",
        "topic",
        "$5",
        "$topic",
        "the state.topic",
        "state.",
        "statement.x",
        "",
        5,
        None,
        True,
    ],
)
def test_anything_else_stands_for_itself(value):
    assert resolve(value, SCOPE, EvaluationBudget()) == value


def test_references_are_found_inside_lists_and_objects():
    given_value = {"a": ["state.count", {"b": "{{ state.topic }}", "c": 1.5}], "state.topic": "x"}
    assert resolve(given_value, SCOPE, EvaluationBudget()) == {
        "a": [3, {"b": "rain", "c": 1.5}],
        "state.topic": "x",
    }


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("About {{ state.topic }}.", "About rain."),
        ("{{state.count}}/{{ state.ratio }}/{{ state.on }}", "3/0.5/false"),
        ("{{ state.items }}", '[{"sku": "a", "n": 1}]'),
        ("<{{ state.absent }}{{ state.none }}>", "<>"),
        ("{{ state.template }}", "{{ state.topic }}"),
        ('Answer as {"steps": [{"a": 1}]}', 'Answer as {"steps": [{"a": 1}]}'),
        ('{{"a": 1}} {{ state.topic | upper }} {{ 7*7 }}', '{{"a": 1}} {{ state.topic | upper }} {{ 7*7 }}'),
        ("{% for x in state %}", "{% for x in state %}"),
        ("{{ state.topic.__class__ }}{{ ''.__class__ }}", "{{ ''.__class__ }}"),
    ],
)
def test_a_prompt_is_rendered_without_anything_being_run(text, rendered):
    assert render(text, SCOPE, EvaluationBudget()) == rendered


def test_objects_of_python_never_reach_a_prompt():
    scope = {"state": {"o": object(), "d": {"o": object()}}}
    text = "<{{ state.o }}{{ state.o.x }}> {{ state.d }}"
    assert render(text, scope, EvaluationBudget()) == '<> {"o": null}'


@given(st.text(alphabet="{}[]()$. stateoupn0-'\"\\u", max_size=40))
def test_any_text_can_be_resolved_and_rendered(text):
    assert isinstance(render(text, SCOPE, EvaluationBudget()), str)
    resolve(text, SCOPE, EvaluationBudget())


@pytest.mark.parametrize(
    "text",
    [
        "{{" * 500_000,
        "{{ " + " " * 1_000_000,
        "{{ " * 300_000,
        "{{ a" + ".a" * 500_000,
        "{{a['" * 200_000,
        "state" + ".a" * 500_000 + " ",
        "$" + "a" * 1_000_000,
    ],
)
def test_hostile_text_takes_no_time(text):
    started = time.process_time()  # not the clock: others use the machine, too
    for make in (resolve, render):
        with suppress(EvaluationTooLarge):
            make(text, SCOPE, EvaluationBudget())
    assert time.process_time() - started < 3
