"""Log lines: one per event, on stderr, with no secret in them and none that a caller could forge."""

import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Literal
from urllib.parse import quote

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered; set by `groundwork.http.asgi.RequestId`, shown in every line."""

HIDDEN = "***"

SHORTEST_SECRET = 4
"""Replacing a shorter one everywhere would garble the text and hide nothing."""

# Credentials are recognised by where they stand, for those that nobody configured.
_CREDENTIALS = (
    (re.compile(r"""(://[^\s/:@"'<>]*:)[^\s/"'<>]+@"""), rf"\1{HIDDEN}@"),
    (re.compile(r"""(password\s*=\s*)('(?:\\.|[^'\\])*'|(?:\\.|[^\s&"'])+)""", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"""(password["']\s*:\s*)("[^"]*"|'[^']*')""", re.IGNORECASE), rf"\1{HIDDEN}"),
    # The lookahead spares sentences about bearer tokens.
    (re.compile(r"(\bbearer\s+)(?!(?:tokens?|schemes?|auth\w*)\b)[\w.~+/=-]+", re.IGNORECASE), rf"\1{HIDDEN}"),
)

# Everything that could end a line, move the cursor, or make text read in another order than it is written.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

# These bring handlers of their own, or log what was sent and received at INFO.
_OTHERS_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "a2a", "mcp", "fastapi")
_TALKATIVE_LOGGERS = ("httpx", "httpcore", "asyncio", "urllib3", "procrastinate")


class _Redactor:
    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = frozenset(filter(None, secrets))
        spellings = {spelling for secret in self.secrets for spelling in _spellings(secret)}
        # The longest first: a secret may be the beginning of another one.
        alternatives = "|".join(map(re.escape, sorted(spellings, key=len, reverse=True)))
        self._secrets = re.compile(alternatives) if alternatives else None

    def redact(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        for pattern, replacement in _CREDENTIALS:
            text = pattern.sub(replacement, text)
        return text


def _spellings(secret: str) -> set[str]:
    """How a secret looks as it is, in a URL, in JSON, and in the `repr` of a string."""
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }


# The one piece of state in this module, replaced as a whole by `configure_logging` and read by `redact`. It is
# global because logging is: a record is formatted far from whoever knows the settings, and so are error texts.
_redactor = _Redactor(())


def configure_logging(
    level: str, fmt: Literal["text", "json"], secrets: Iterable[str], *, shown_to: Path | None = None
) -> None:
    """Sends every logger of the process to stderr in one format; call it once, before anything is logged.

    With `shown_to` the lines are for the author of the code in that directory: short, and of a traceback what
    stands there.

    `secrets` appear as `***` wherever they would have stood, in tracebacks and arguments too; so do passwords
    in URLs and connection strings, and bearer tokens. Other libraries' own handlers are removed; uvicorn must
    be started with `log_config=None`, or it puts its own back.
    """
    global _redactor  # see above
    _redactor = _Redactor(secrets)
    handler = _Stderr()
    formatter = _JsonLine() if fmt == "json" else _TextLine()
    handler.setFormatter(formatter if shown_to is None else _AuthorsLine(shown_to))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _OTHERS_LOGGERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in _TALKATIVE_LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG if level.upper() == "DEBUG" else logging.WARNING)


def hide(secrets: Iterable[str]) -> None:
    """Hides these too, from now on: those that came to be known while the process runs. Very short ones would make
    every line unreadable, and are left."""
    global _redactor  # see above
    new = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
    if not _redactor.secrets.issuperset(new):
        _redactor = _Redactor(_redactor.secrets | new)


def field_of(name: str, value: object) -> str:
    """Return `name=value` as it stands in a line of the log, quoted where a blank would end the value."""
    text = str(value)
    plain = text and text.isprintable() and not any(character in text for character in ' ="')
    return f"{name}={text}" if plain else f"{name}={json.dumps(text, ensure_ascii=False)}"


def redact(text: str) -> str:
    """`text` with `***` in place of the secrets given to `configure_logging`, and of what looks like one."""
    return _redactor.redact(text)


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]  # generic in typeshed, not at run time
    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Says which call could not be logged; logging's own version would print its arguments as they are."""
        kind = sys.exc_info()[0]
        with suppress(OSError, ValueError):  # stderr itself may be what is gone
            self.stream.write(
                f"cannot log a call at {record.pathname}:{record.lineno}: {kind.__name__ if kind else 'unknown'}\n"
            )


class _Line(logging.Formatter):
    """What both formats have in common: the parts of a line, without secrets."""

    def _message(self, record: logging.LogRecord) -> str:
        try:
            return redact(record.getMessage())
        except (TypeError, ValueError, KeyError):
            return redact(f"{record.msg} {record.args!r}")  # a mistake in the call; its text is still of use

    def _traceback(self, record: logging.LogRecord) -> str | None:
        parts = [self.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return redact("\n".join(parts)) if parts else None

    def _time(self, record: logging.LogRecord) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.msecs):03d}Z"


class _TextLine(_Line):
    """A line for people. The lines of a traceback follow it, indented, so that none can pass for an event."""

    def format(self, record: logging.LogRecord) -> str:
        current = request_id.get()
        request = f" [{current}]" if current else ""
        message = self._message(record)
        line = _printable(f"{self._time(record)} {record.levelname:<7} {record.name}{request}: {message}")
        trace = self._traceback(record)
        if trace is None:
            return line
        return "\n".join([line, *(f"    {_printable(part)}" for part in trace.split("\n"))])


class _JsonLine(_Line):
    """A JSON object for machines, in ASCII so that no terminal or collector can misread it."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "timestamp": self._time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
            "request_id": request_id.get(),
            "traceback": self._traceback(record),
        }
        return json.dumps({key: value for key, value in event.items() if value is not None})


class _AuthorsLine(_TextLine):
    """A short line for the author of the code in a directory, followed by the lines there that led to an error."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory.resolve()

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        line = _printable(
            f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {level}{self._message(record)}"
        )
        shown = self._own_lines(record) or self._traceback(record)
        return "\n".join([line, *(f"    {_printable(part)}" for part in (shown or "").split("\n") if part)])

    def _own_lines(self, record: logging.LogRecord) -> str | None:
        if not record.exc_info or (error := record.exc_info[1]) is None:
            return None
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if self._is_own(frame.filename)]
        if not frames and not isinstance(error, SyntaxError):
            return None
        lines = [
            f"{Path(frame.filename).relative_to(self._directory)}:{frame.lineno} in {frame.name}: {frame.line}"
            for frame in frames
        ]
        return redact("\n".join([*lines, *traceback.format_exception_only(error)]))

    def _is_own(self, filename: str) -> bool:
        file = Path(filename)
        return file.is_relative_to(self._directory) and "site-packages" not in file.parts


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)
