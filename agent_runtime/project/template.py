"""Prompt templates: text with `{{ name }}` in it, and nothing that could compute."""

from collections.abc import Mapping
from dataclasses import dataclass

from langchain_core.utils.mustache import ChevronError, tokenize

VARIABLES = ("agent_id", "agent_name", "caller", "date")
"""What a template may name: the agent, who speaks to it, and the day, in UTC."""

_TEXT, _VALUES, _NOTHING = "literal", ("variable", "no escape"), ("comment", "set delimiter")


class BadTemplate(Exception):
    """The template cannot be rendered; the message says why."""


@dataclass(frozen=True)
class Template:
    """Mustache without sections and partials: rendering puts values in, so that none can be reached into."""

    source: str
    _tokens: tuple[tuple[str, str], ...]

    def render(self, values: Mapping[str, str]) -> str:
        """The text with `values` in it, which has every one of `VARIABLES`."""
        return "".join(text if kind == _TEXT else values[text] for kind, text in self._tokens)


def parse_template(source: str) -> Template:
    """Raises `BadTemplate`."""
    try:
        tokens = tuple(token for token in tokenize(source) if token[0] not in _NOTHING)
    except (ChevronError, ValueError, IndexError) as error:  # the last two, for delimiters that are none
        raise BadTemplate(f"does not render: {' '.join(str(error).split())}") from None
    for kind, text in tokens:
        if kind == _TEXT:
            continue
        if kind not in _VALUES:
            raise BadTemplate(f"does not render: {text!r} is a {kind}; accepted are text and {{{{ variables }}}}")
        if text not in VARIABLES:
            raise BadTemplate(f"does not render: {text!r} is not known; accepted are {', '.join(VARIABLES)}")
    return Template(source, tokens)
