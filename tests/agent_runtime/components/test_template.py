"""Prompt templates put values in, and compute nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.project.template import VARIABLES, BadTemplate, parse_template

VALUES = {"agent_id": "a1", "agent_name": "Ada & Co", "caller": "<eve>", "date": "2026-11-28"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Be brief.", "Be brief."),
        ("You are {{ agent_name }}, {{agent_id}}.", "You are Ada & Co, a1."),
        ("{{{ caller }}} and {{& caller }}{{! nobody sees this }}", "<eve> and <eve>"),
        ('Answer as {"ticket": {"title": "…"}}', 'Answer as {"ticket": {"title": "…"}}'),
        ("{{=<% %>=}}Write {{ this }} on <% date %>", "Write {{ this }} on 2026-11-28"),
    ],
)
def test_variables_are_replaced_as_they_are(source: str, text: str) -> None:
    assert parse_template(source).render(VALUES) == text


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ agent_nmae }}", "'agent_nmae' is not known; accepted are agent_id, agent_name, caller, date"),
        ("{{ caller.__class__ }}", "'caller.__class__' is not known"),
        ("{{#caller}}x{{/caller}}", "'caller' is a section"),
        ("{{> /etc/passwd }}", "'/etc/passwd' is a partial"),
        ("{{ caller", "unclosed tag at line 1"),
        ("{{#caller}}", "never closed"),
        ("{{=a b=}}a x.y b", "'x.y' is not known"),
    ],
)
def test_what_does_not_render_is_refused_with_the_reason(source: str, reason: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        parse_template(source)
    assert reason in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["{{", "}}", "{{{", "}}}", "#", "^", "/", ">", "=", "&", "!", " ", "\n", *VARIABLES]))
)
def test_every_text_renders_or_is_refused(pieces: list[str]) -> None:
    try:
        template = parse_template("".join(pieces))
    except BadTemplate:
        return
    template.render(VALUES)
