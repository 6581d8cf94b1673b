"""The demo as `make demo` runs it, and what it promises about itself."""

import argparse
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from demo.calls import Bearer, Call, say_with_curl
from demo.console import Screen
from demo.json_text import abridge, lay_out
from demo.show import run_demo
from demo.steps.start import start_the_agent
from demo.tour import Step, Tour

ROOT = Path(__file__).parents[1]
ADMIN_ROUTES = {
    ("GET", "/api/v1/status"),
    ("GET", "/status"),
    ("GET", "/api/v1/card/url"),
    ("PATCH", "/api/v1/card/url"),
    ("GET", "/api/v1/memory/config"),
    ("PATCH", "/api/v1/memory/config"),
    ("GET", "/api/v1/memory/threads"),
    ("GET", "/api/v1/memory/threads/session-001/messages"),
    ("DELETE", "/api/v1/memory/threads/support%2F42"),
    ("DELETE", "/api/v1/memory/threads"),
    ("POST", "/api/v1/memory/migrate-agent-id"),
    ("GET", "/api/v1/registry/metadata"),
    ("POST", "/api/v1/registry/reload"),
    ("GET", "/internal/runtime-metadata"),
    ("POST", "/internal/reload"),
}
REGISTRY_ROUTES = {
    ("POST", "/tokens"),
    ("GET", "/agents"),
    ("GET", "/agents/my-agent"),
    ("POST", "/agents/my-agent/pause"),
    ("GET", "/agents/my-agent/admin/memory/config"),
    ("PATCH", "/memory/config"),
    ("GET", "/audit"),
    ("GET", "/.well-known/did.json"),
}


@pytest.fixture
def temporary_directory() -> Iterator[Path]:
    """Where the demo puts its files; short, so that PostgreSQL's socket fits in."""
    with tempfile.TemporaryDirectory(prefix="demo-test-") as name:
        yield Path(name)


def test_the_demo_shows_every_call_and_leaves_nothing_behind(temporary_directory: Path) -> None:
    # What a build server sets so that programs take its log for a terminal.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FORCE_COLOR", "TTY_"))}
    done = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**kept, "TMPDIR": str(temporary_directory), "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout, "nothing moves, and nothing is coloured, where nobody watches"
    lines = re.findall(r"^  \$ (curl .*?)\n  \d{3} ", done.stdout, re.MULTILINE | re.DOTALL)
    calls = [read_curl(line) for line in lines]
    assert {(call.X, urlsplit(call.url).path) for call in calls} >= ADMIN_ROUTES | REGISTRY_ROUTES
    assert re.search(r"■ +completed$", done.stdout, re.MULTILINE), "the timeline of the workflow is drawn"
    assert list(temporary_directory.iterdir()) == []
    assert not any(is_listening(urlsplit(call.url).port or 0) for call in calls)
    processes = subprocess.run(["ps", "-axo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(temporary_directory) not in processes


@pytest.mark.parametrize(
    "call",
    [
        Call("GET", "http://127.0.0.1:8000/threads/a%2Fb/messages?limit=2"),
        Call("DELETE", "http://127.0.0.1:8000/threads?all=true"),
        Call("PATCH", "http://127.0.0.1:8000/config", {"summarize": True, "name": "Ada's"}),
        say_with_curl("http://127.0.0.1:8000", "it's a long message that takes more than a line", "session-001"),
    ],
)
@pytest.mark.parametrize("width", ["80", "120"])
async def test_a_call_that_is_made_is_the_one_that_is_shown(
    call: Call, width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    Screen().curl(call)
    shown = read_curl(capsys.readouterr().out.strip().removeprefix("$ "))
    async with httpx.AsyncClient() as http:
        made = call.request(http)
    assert (shown.X, shown.url, (shown.d or "").encode()) == (made.method, str(made.url), made.content)
    assert all(made.headers[name] == value for name, value in (header.split(": ") for header in shown.H))


async def test_a_token_is_sent_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    call = Call("GET", "http://127.0.0.1:7700/agents", bearer=Bearer("VIEWER", "jj_secret"))
    Screen().curl(call)
    assert capsys.readouterr().out.strip().endswith('-H "Authorization: Bearer $VIEWER"')
    async with httpx.AsyncClient() as http:
        assert call.request(http).headers["Authorization"] == "Bearer jj_secret"


def test_a_step_that_fails_is_named_and_the_log_is_shown(
    temporary_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def start_in_an_empty_directory(tour: Tour) -> None:
        tour.project.mkdir()
        await start_the_agent(tour)

    monkeypatch.setattr(tempfile, "tempdir", str(temporary_directory))
    status = run_demo(Screen(), [Step("Serve nothing at all", start_in_an_empty_directory)], stay=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert status == 1
    assert "Step 1 of 1 failed: Serve nothing at all" in shown
    assert "ended with status 2" in shown
    assert "The end of the agent's log: agent-runtime:" in shown
    assert list(temporary_directory.iterdir()) == []


def test_what_does_not_hold_fails_the_step_with_what_was_seen(capsys: pytest.CaptureFixture[str]) -> None:
    async def claim(tour: Tour) -> None:
        tour.check(1 + 1 == 3, "one and one are three", 1 + 1)

    assert run_demo(Screen(), [Step("Arithmetic", claim)], stay=False) == 1
    shown = capsys.readouterr().out
    assert "this does not hold: one and one are three" in shown
    assert "Seen: 2" in shown
    assert "✓" not in shown


def test_a_mistake_in_a_step_is_shown_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    async def stumble(tour: Tour) -> None:
        raise ZeroDivisionError

    assert run_demo(Screen(), [Step("Stumble", stumble)], stay=False) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_json_takes_a_line_where_it_fits_and_more_where_it_does_not() -> None:
    assert lay_out({"a": [1, 2], "b": None}, 40) == '{"a": [1, 2], "b": null}'
    assert lay_out({"a": [1, 2], "b": None}, 20) == '{\n  "a": [1, 2],\n  "b": null\n}'


def test_a_long_list_loses_its_middle_and_says_so() -> None:
    assert lay_out(abridge(list(range(20))), 80) == "[0, 1, 2, … 15 more …, 18, 19]"


def read_curl(line: str) -> argparse.Namespace:
    """What curl would read from the line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-X", default="GET")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d")
    return parser.parse_args(shlex.split(line.replace("\\\n", " "))[1:])


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
