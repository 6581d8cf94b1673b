"""Log lines as a process writes them: the real stderr of a real process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from groundwork.telemetry.logs import redact

ROOT = Path(__file__).parents[3]
SECRET = 'sw0rd"fish/ä'


def logged(code: str, fmt: str = "text", level: str = "info") -> str:
    """What `code` writes to stderr once logging is configured with `SECRET`."""
    prelude = (
        "import logging, warnings\n"
        "from groundwork.telemetry.logs import configure_logging, redact, request_id\n"
        f"SECRET = {SECRET!r}\n"
        f"configure_logging({level!r}, {fmt!r}, [SECRET, '', 'sw0rd'])\n"
        "log = logging.getLogger('app')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + code],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
    )
    assert done.stdout == b""
    return done.stderr.decode()


def test_a_line_has_time_level_logger_and_message() -> None:
    time, level, name, message = logged("log.warning('%d turtles', 3)").split(maxsplit=3)
    assert (len(time), time[-1]) == (24, "Z")
    assert (level, name, message) == ("WARNING", "app:", "3 turtles\n")


def test_a_json_line_is_one_object_with_the_same_parts() -> None:
    event = json.loads(logged("request_id.set('r-1')\nlog.info('grüß\\n%s', 'dich')", "json"))
    assert event.pop("timestamp")
    assert event == {"level": "info", "logger": "app", "message": "grüß\ndich", "request_id": "r-1"}


def test_the_request_id_is_shown_when_there_is_one() -> None:
    assert " [r-1]: hello" in logged("request_id.set('r-1')\nlog.info('hello')")


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_a_configured_secret_never_shows(fmt: str) -> None:
    ways = [
        "log.error('the token ' + SECRET)",
        "log.error('the token %s', SECRET)",
        "log.error('the tokens %s', {'t': SECRET})",
        "import json; log.error(json.dumps({'t': SECRET}))",
        "from urllib.parse import quote; log.error('http://x/?t=' + quote(SECRET))",
        "log.error('too few: %s %s', SECRET)",
        "try: raise ValueError(SECRET)\nexcept ValueError: log.exception('failed')",
        "try:\n try: int(SECRET)\n except ValueError as e: raise KeyError(SECRET) from e\n"
        "except KeyError: log.exception('failed')",
        "warnings.warn('deprecated ' + SECRET)",
        "class Bad:\n def __str__(self): raise RuntimeError(SECRET)\nlog.error('%s %s', SECRET, Bad())",
        "log.error(redact('an error text with ' + SECRET))",
    ]
    written = logged("\n".join(ways), fmt)
    assert "sw0rd" not in written
    assert "fish" not in written
    events = [line for line in written.splitlines() if not line.startswith(" ")]
    assert len(events) == len(ways)


def test_a_broken_log_call_is_reported_by_its_place() -> None:
    code = "class Bad:\n def __str__(self): raise RuntimeError('x')\nlog.error('%s', Bad())"
    assert logged(code).startswith("cannot log a call at <string>:")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://user:p%40ss@db:5432/x", "postgresql://user:***@db:5432/x"),
        ("at postgres://:pw@db, retrying", "at postgres://:***@db, retrying"),
        ("redis://u:p@ss@host/0", "redis://u:***@host/0"),
        ("host=db password=secret user=me", "host=db password=*** user=me"),
        ("password='two \\' words' user=me", "password=*** user=me"),
        ("postgresql:///x?password=pw&sslmode=off", "postgresql:///x?password=***&sslmode=off"),
        ("{'password': 'x y', 'user': 'me'}", "{'password': ***, 'user': 'me'}"),
        ("Authorization: Bearer abc.def-1=", "Authorization: Bearer ***"),
        ("{'authorization': 'bearer abc'}", "{'authorization': 'bearer ***'}"),
        ("a bearer token is required", "a bearer token is required"),
        ("http://localhost:8000/a?mail=me@x.org", "http://localhost:8000/a?mail=me@x.org"),
        ("password authentication failed", "password authentication failed"),
    ],
)
def test_credentials_are_recognised_by_where_they_stand(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_redacting_a_megabyte_takes_no_time() -> None:
    for piece in ("a", "://", "password=", "bearer ", "'", ":@"):
        assert redact(piece * (1_000_000 // len(piece)))


def test_a_message_cannot_forge_a_line_or_play_with_the_terminal() -> None:
    code = r"log.info('%s', 'x\n2026-01-01T00:00:00.000Z INFO app: forged\r\x1b[2J\u2028\u202e')"
    written = logged(code)
    assert written.count("\n") == 1
    assert written.endswith("x\\n2026-01-01T00:00:00.000Z INFO app: forged\\r\\x1b[2J\\u2028\\u202e\n")


def test_the_lines_of_a_traceback_follow_indented() -> None:
    code = "try: raise ValueError('a\\n2026 forged')\nexcept ValueError: log.exception('failed')"
    first, *rest = logged(code).splitlines()
    assert first.endswith("app: failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    2026 forged"


def test_other_libraries_log_the_same_way() -> None:
    code = (
        "import uvicorn, uvicorn.config, a2a\n"
        "import logging.config; logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)\n"
        "configure_logging('info', 'json', [SECRET])\n"
        "for name in ('uvicorn', 'uvicorn.error', 'uvicorn.access', 'a2a.server'):\n"
        "    logging.getLogger(name).info('from %s', name)\n"
        "logging.getLogger('httpx').info('noise')\n"
    )
    messages = [json.loads(line)["message"] for line in logged(code).splitlines()]
    assert messages == ["from uvicorn", "from uvicorn.error", "from uvicorn.access", "from a2a.server"]


def test_what_is_below_the_level_is_not_written() -> None:
    assert logged("log.info('a'); log.warning('b')", level="WARNING").endswith(": b\n")
