"""Templates of prompts, in mustache as LangChain renders it."""

import re

from langchain_core.utils.mustache import ChevronError, tokenize

MAX_TAGS = 500
"""The parser copies the rest of a template at each tag, so reading one takes its length times this."""

_MAX_DEPTH = 20
_MAX_DELIMITERS = 10

_TOO_MANY_TAGS = f"has more than {MAX_TAGS} tags, or changes its marks more than {_MAX_DELIMITERS} times"

# What the parser calls things is no help to whoever wrote the template, and its line numbers are not right.
_IN_OUR_WORDS = (
    ("unclosed set delimiter", "has a tag for other marks that is not closed: {{=<% %>=}}"),
    ("unclosed tag", "has a tag that is not closed: {{ without }}"),
    ("empty tag", "has a tag without a name: {{ }}"),
    ("Trying to close", "closes a section that is not the one which is open"),
    ("Unexpected EOF", "has a section that is never closed"),
)


def problem_in(template: str) -> str | None:
    """What is wrong with the template; which names it may use is for the agent to say that renders it."""
    if template.count("{{") > MAX_TAGS:
        return _TOO_MANY_TAGS
    depth = delimiters = 0
    try:
        for kind, text in tokenize(template):
            depth += (kind in ("section", "inverted section")) - (kind == "end")
            if depth > _MAX_DEPTH:
                return f"has sections in sections more than {_MAX_DEPTH} deep"
            if kind == "set delimiter":
                delimiters += 1
                if delimiters > _MAX_DELIMITERS or template.count(text.partition(" ")[0]) > MAX_TAGS:
                    return _TOO_MANY_TAGS
    except ChevronError as error:
        return _explain(str(error))
    except (ValueError, IndexError):
        return "has a tag for other marks that names none: {{=<% %>=}}"
    return None


def _explain(text: str) -> str:
    what = next(words for begin, words in _IN_OUR_WORDS if text.startswith(begin))
    name = re.search(r'tag "([\w. -]{1,60})"', text)
    return f"{what} ({name[1]})" if name else what
