"""Reading settings so that a mistake costs one clear line, not a traceback."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from groundwork.logs import redact

_Settings = TypeVar("_Settings", bound=BaseSettings)

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)S?$", re.IGNORECASE)
_SHORTEST_SECRET = 8
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "DSN", "KEY", "DATABASE_URL")


class BadSetting(Exception):
    """A setting cannot be used; the message is one line naming the variable, its value and what is accepted."""


def load_settings(kind: type[_Settings]) -> _Settings:
    """Builds `kind` from the environment and `.env`. Raises `BadSetting` for the first value that is wrong."""
    try:
        return kind()
    except ValidationError as error:
        raise BadSetting(_explain(error, getattr(kind, "variable_of", str.upper))) from None


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """Values of variables that are secrets by their names: model providers' keys, tokens, passwords.

    Short values are left out: hiding every `1` would make the log useless.
    """
    return [
        value
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET
    ]


def _explain(error: ValidationError, variable_of: Callable[[str], str]) -> str:
    errors = error.errors(include_url=False)
    first = errors[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    # A value that may be of several kinds has an error for each.
    same = [_message(other["type"], other["msg"]) for other in errors if other["loc"][:1] == first["loc"][:1]]
    variable = variable_of(str(first["loc"][0]))
    shown = "(hidden)" if any(word in variable for word in _SECRET_WORDS) else redact(repr(first["input"]))
    return f"{variable}={shown}: {', or '.join(dict.fromkeys(same))}"


def _message(kind: str, text: str) -> str:
    if kind == "bool_parsing":
        return "accepted are true and false"
    message = text.removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}"
