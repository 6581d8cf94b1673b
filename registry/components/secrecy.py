"""Secrets in what components say: they have no place there, since everybody who may read sees it, and for ever.

What looks like one is recognised by its own shape, wherever it stands, or by the name that it stands under.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from groundwork.telemetry.logs import HIDDEN, redact

REFERENCE = re.compile(r"\$\{[A-Za-z_]\w*\}", re.ASCII)

# Bounded, or beginning where no name goes on, so that no text takes longer than its length allows.
_SHAPES = re.compile(
    r"""
      \bsk-(?=[\w-]{0,100}(?:\d|[a-zA-Z]{16}))[\w-]{16,300}   # OpenAI, Anthropic and others
    | \b[sr]k_(?:live|test)_\w{16,300}                        # Stripe
    | \bgh[a-z]_[a-zA-Z0-9]{20,300} | \bgithub_pat_\w{20,300}
    | \bglpat-[\w-]{20,300} | \bhf_[a-zA-Z0-9]{30,300}
    | \bxox[a-z]-[\w-]{10,300}                                # Slack
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                           # AWS
    | \bAIza[\w-]{35}                                         # Google
    | \bjj_[\w-]{40,60}                                       # tokens of a registry
    | (?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}            # JWT
    | -----BEGIN\ [A-Z ]{0,40}PRIVATE\ KEY-----
    """,
    re.ASCII | re.VERBOSE,
)

# In the names of headers and of query parameters, where words run into each other.
_ANYWHERE = re.compile(
    r"auth(?!or(?!iz))|cookie|token|secret|key(?!word)|passw|pwd|credential|signature", re.IGNORECASE
)
# In other names, as words: `tokenizer`, `max_tokens` and `prompt_cache_key` are none.
_AS_A_WORD = re.compile(
    r"(?:^|[^a-z])(?:authorization|cookie|(?:[a-z]*(?:auth|access|bearer|api))?(?:token|(?<!cache_)keys?)|secrets?"
    r"|pass(?:word|wd|phrase)s?|pwd|credentials?)(?:$|[^a-z])"
)
_HARMLESS = re.compile(r"\s*|true|false|[0-9]{1,7}", re.IGNORECASE)

_ADVICE = "write ${NAME} there, and set NAME in the agent's environment"


@dataclass(frozen=True)
class _Said:
    """A text, where it stands, and the name that it stands under."""

    place: tuple[str, ...]
    name: str
    text: str


def secrets_in(content: Mapping[str, object]) -> Iterator[str]:
    """What is wrong with each place where something looks like a secret; the secret is not in the text."""
    for said in _said_in(content, (), ""):
        if reason := _reason(said):
            yield f"{hide_secrets('.'.join(said.place))} {reason}; {_ADVICE}"


def hide_secrets(text: str) -> str:
    """The text with `***` in place of what looks like a secret."""
    return redact(_SHAPES.sub(HIDDEN, text))


def _reason(said: _Said) -> str | None:
    if _SHAPES.search(said.text):
        return "contains what looks like a secret"
    if said.place in (("template",), ("description",)):
        return None
    if _is_secret(said.name, said.text, _ANYWHERE if said.place[:1] == ("headers",) else _AS_A_WORD):
        return "looks like a secret by its name"
    return _reason_in_url(said.text)


def _reason_in_url(text: str) -> str | None:
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    userinfo, _, _ = parts.netloc.rpartition("@")
    if userinfo and not REFERENCE.search(userinfo):
        return "has credentials in its URL"
    given = parse_qsl(parts.query) if parts.netloc else []
    if any(_is_secret(name, value, _ANYWHERE) for name, value in given):
        return "has what looks like a secret in the query of its URL"
    return None


def _is_secret(name: str, text: str, names: re.Pattern[str]) -> bool:
    if _HARMLESS.fullmatch(text) or REFERENCE.search(text):
        return False
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    return names.search(words) is not None


def _said_in(value: object, place: tuple[str, ...], name: str) -> Iterator[_Said]:
    match value:
        case str():
            yield _Said(place, name, value)
        case Mapping():
            for key, item in value.items():
                yield _Said((*place, "a name"), "", key)
                yield from _said_in(item, (*place, key), key)
        case list():
            for number, (option, item) in enumerate(_with_options(value)):
                yield from _said_in(item, (*place, str(number)), option or name)


def _with_options(items: list[object]) -> Iterator[tuple[str, object]]:
    """The items of a list, which may be arguments of a command: each with the option that it is the value of."""
    before = ""
    for item in items:
        option, has_value, value = (
            item.partition("=") if isinstance(item, str) and item[:1] == "-" else ("", "", "")
        )
        yield (option, value) if has_value else (before, item)
        before = "" if has_value else option
