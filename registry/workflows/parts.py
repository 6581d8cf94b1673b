"""What the parts of an IR have in common: how they are read, and the types of their fields."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from groundwork.outgoing import urls
from registry.workflows.expressions import BadExpression, parse_expression

LONGEST_NAME = 255
LONGEST_SECONDS = 366 * 86_400
LONGEST_DELAY_SECONDS = 86_400

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}

Item = TypeVar("Item")


class Part(BaseModel):
    """A JSON object of an IR. Nothing in it is converted, null is as good as absent, the unknown is ignored.

    A field that has one of several words may be written as an object with one key, as Rust's enums are: the key is
    the word, and names the field that what is below it goes to. So `{"on_violation": {"branch": {...}}}` is
    `{"on_violation": "branch", "branch": {...}}`, and `{"backoff": {"fixed": null}}` is `{"backoff": "fixed"}`.
    """

    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        populate_by_name=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        given = {key: item for key, item in value.items() if item is not None}
        for field, words in _fields_of_words(cls):
            chosen = given.get(field)
            if isinstance(chosen, Mapping) and len(chosen) == 1 and (word := next(iter(chosen))) in words:
                given[field] = word
                if word in cls.model_fields and chosen[word] is not None:
                    given[word] = chosen[word]
        return given


@cache
def _fields_of_words(part: type[Part]) -> tuple[tuple[str, frozenset[str]], ...]:
    found = ((name, frozenset(_words_in(field.annotation))) for name, field in part.model_fields.items())
    return tuple((name, words) for name, words in found if words)


def _words_in(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(word for inner in get_args(annotation) for word in _words_in(inner))


def _read_word(value: object) -> object:
    """An item of a list that Rust may write as an object: `{"custom": "EAGAIN"}`, `{"timeout": null}`."""
    if isinstance(value, Mapping) and len(value) == 1:
        [(word, below)] = value.items()
        return below if word == "custom" else word if below is None else value
    return value


def is_workflow_id(text: str) -> bool:
    """Whether a workflow can be called so, and found by it in the path of a URL."""
    return (
        0 < len(text) <= LONGEST_NAME
        and text.isprintable()
        and text == text.strip()
        and text not in (".", "..")
        and not re.search(r"[/\\]", text)
    )


def _read_seconds(value: object) -> object:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _UNITS[match[2]]
    return value


def _check_expression(text: str) -> str:
    try:
        parse_expression(text)
    except BadExpression as error:
        raise PydanticCustomError("expression", "{reason}", {"reason": str(error)}) from None
    return text


def is_url(text: str) -> bool:
    """Whether something can be reached there: an absolute URL with a host, and without credentials."""
    return urls.is_url(text, ("http", "https", "ws", "wss"))


def _check_url(text: str) -> str:
    if not is_url(text):
        raise PydanticCustomError("url", "should be an absolute URL with a host, without credentials")
    return text


def _check_environment_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", text):
        raise PydanticCustomError("name", "should be the name of an environment variable")
    return text


def _check_dotted(text: str) -> str:
    if not all(name.isidentifier() for name in text.split(".")):
        raise PydanticCustomError("dotted", "should be a dotted name of Python")
    return text


def split_function(reference: str) -> tuple[str, str]:
    """Module and function of `package.module:function`, or of the same with a dot."""
    module, _, function = reference.rpartition(":" if ":" in reference else ".")
    return module, function


def is_function(reference: str) -> bool:
    return all(name.isidentifier() for part in split_function(reference) for name in part.split("."))


def _check_function(text: str) -> str:
    if not is_function(text):
        raise PydanticCustomError("function", "should be like package.module:function")
    return text


def _ignore_schema(value: object) -> object:
    """Where JamJet's schema of an output is text, it may name a key of the state; as an object it names none."""
    return "" if isinstance(value, Mapping) else value


Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Expression = Annotated[str, AfterValidator(_check_expression)]
Url = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_check_url)]
EnvironmentName = Annotated[str, AfterValidator(_check_environment_name)]
Dotted = Annotated[str, StringConstraints(max_length=LONGEST_NAME), AfterValidator(_check_dotted)]
FunctionReference = Annotated[str, StringConstraints(max_length=LONGEST_NAME), AfterValidator(_check_function)]
OutputSchema = Annotated[str, BeforeValidator(_ignore_schema)]
# Numbers are seconds; text such as "90s" or "2m" is read too, as workflows in YAML have it.
Seconds = Annotated[float, BeforeValidator(_read_seconds), Field(gt=0, le=LONGEST_SECONDS)]
Delay = Annotated[float, BeforeValidator(_read_seconds), Field(ge=0, le=LONGEST_DELAY_SECONDS)]
ErrorClass = Annotated[str, BeforeValidator(_read_word), StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Amount = Annotated[float, Field(ge=0)]
Labels = Annotated[dict[str, str], Field(default_factory=dict)]
Many = Annotated[tuple[Item, ...], Field(strict=False)]  # JSON has lists, and they are to stay as they are
