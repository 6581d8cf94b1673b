"""Reading settings so that a mistake costs one clear line, not a traceback."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from dotenv import dotenv_values
from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic_settings import BaseSettings

from groundwork.telemetry.logs import redact

ENV_FILE = Path(".env")

_Settings = TypeVar("_Settings", bound=BaseSettings)

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)S?$", re.IGNORECASE)
_SHORTEST_SECRET = 8
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "DSN", "KEY", "DATABASE_URL")


class BadSetting(Exception):
    """A setting cannot be used; the message is one line naming the variable, its value and what is accepted."""


def load_settings(kind: type[_Settings], env_file: Path = ENV_FILE) -> _Settings:
    """Build `kind` from the environment and `.env`; a secret `NAME` may be in the file that `NAME_FILE` names.

    Raises `BadSetting` for the first value that is wrong.
    """
    given = _written(env_file) | {name.upper(): value for name, value in os.environ.items()}
    try:
        return kind(**_secrets_from_files(kind, given))
    except ValidationError as error:
        hint = "".join(f" ({line})" for line in near_misses(kind, env_file))
        raise BadSetting(_explain(error, getattr(kind, "variable_of", str.upper)) + hint) from None


def read_env_file(path: Path = ENV_FILE, *, keep: Collection[str] | None = None) -> None:
    """Put what `.env` says into the environment. What the environment itself says wins: all that is in it, or the
    variables of `keep`, when the file is read again.

    Raises `BadSetting` for a file that cannot be read.
    """
    own = frozenset(os.environ) if keep is None else keep
    for name, value in _values(path).items():
        if name not in own and value is not None:
            try:
                os.environ[name] = value
            except ValueError:
                raise BadSetting(f"{path}: the value of a variable has a NUL character in it") from None


def near_misses(kind: type[BaseSettings], env_file: Path = ENV_FILE) -> list[str]:
    """Return a sentence for each variable that is no setting and looks like a mistyped one."""
    variable_of: Callable[[str], str] = getattr(kind, "variable_of", str.upper)
    known = [name.upper() for name in _names_of(kind)]
    known += [variable_of(name) for name in kind.model_fields]
    known += [f"{name}_FILE" for name in map(str.upper, _secrets_of(kind))]
    prefixes = tuple({f"{name.partition('_')[0]}_" for name in known if "_" in name})
    ours = {name for name in os.environ if name.startswith(prefixes)}
    strangers = sorted((ours | set(_written(env_file))) - set(known))
    nearest = {name: get_close_matches(name, known, n=1, cutoff=0.85) for name in strangers}
    return [f"{name} is no setting; did you mean {close[0]}?" for name, close in nearest.items() if close]


def _names_of(kind: type[BaseSettings]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        yield name
        alias = field.validation_alias
        yield from (alias.choices if isinstance(alias, AliasChoices) else [alias] if alias else ())  # type: ignore[misc]


def _secrets_of(kind: type[BaseSettings]) -> list[str]:
    return [name for name, field in kind.model_fields.items() if field.annotation is SecretStr]


def _secrets_from_files(kind: type[BaseSettings], given: Mapping[str, str]) -> dict[str, Any]:
    secrets: dict[str, Any] = {}
    for name in _secrets_of(kind):
        variable = f"{name.upper()}_FILE"
        if not (path := given.get(variable, "").strip()):
            continue
        if given.get(name.upper()):
            raise BadSetting(f"{variable} and {name.upper()} are both set; one of them has to go")
        try:
            text = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise BadSetting(f"{variable}={path!r}: the file cannot be read: {reason}") from None
        if not text:
            raise BadSetting(f"{variable}={path!r}: the file is empty")
        # Of several there may be one on each line.
        secrets[name] = ",".join(text.split("\n")) if name.endswith("_tokens") else text
    return secrets


def _written(env_file: Path) -> dict[str, str]:
    return {name.upper(): value or "" for name, value in _values(env_file).items()}


def _values(path: Path) -> dict[str, str | None]:
    try:
        # With or without the mark that editors on Windows put first.
        return dotenv_values(path, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSetting(f"{path}: it is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise BadSetting(f"{path}: it cannot be read: {error.strerror}") from None


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
    shown = "(hidden)"
    if not any(word in variable for word in _SECRET_WORDS):
        shown = _without_query(redact(repr(first["input"])))
    return f"{variable}={shown}: {', or '.join(dict.fromkeys(same))}"


def _without_query(shown: str) -> str:
    """Return what is shown of a value, without what follows the path of a URL: tokens are put there."""
    return re.sub(r"(://[^\s?#]*[?#])[^'\"]+", r"\1***", shown)


def _message(kind: str, text: str) -> str:
    if kind == "bool_parsing":
        return "accepted are true and false"
    message = text.removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}"
