"""The commands of a README, run as they are written, and their answers held against those printed below them."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRINTED_ADDRESS = "http://127.0.0.1:8000"
"""Where the READMEs say that the agent is; the one thing in them that a test replaces."""

LEFT_OUT = "…"

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
_MARK = "--end-of-command--"
_DIFFERENT_EACH_TIME = (
    re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    re.compile(r"call_[0-9a-f]{32}"),
    re.compile(r"tok_[0-9a-f]{16}"),
    re.compile(r"exec_[0-9a-f]{32}"),
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
)
_ROW_COUNTS = {"deleted", "also_deleted"}
_DIFFERENT_IN_TEXT = re.compile(r"tok_[0-9a-f]{16}|exec_[0-9a-f]{32}|[0-9a-f]{64}|\d+\.\d{3} s")


@dataclass(frozen=True)
class Example:
    """A command and what a README says that it answers; `""` where it says nothing."""

    command: str
    answer: str = ""


@dataclass(frozen=True)
class Answer:
    status: int
    text: str


def blocks(markdown: str, *languages: str) -> list[str]:
    """The fenced blocks in one of the languages, in order."""
    return [found["text"] for found in _BLOCK.finditer(markdown) if found["language"] in languages]


def examples(console: str) -> list[Example]:
    """What a block shows of a terminal: commands after `$`, up to where a shell would run them, and answers."""
    found: list[Example] = []
    command, answer = "", ""
    for line in console.splitlines():
        if line.startswith("$ "):
            if command:
                found.append(Example(command, answer))
            command, answer = line.removeprefix("$ "), ""
        elif _is_complete(command):
            answer += f"{line}\n"
        else:
            command += f"\n{line}"
    return [*found, Example(command, answer)]


def _is_complete(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:  # a quotation that is still open
        return False
    return not command.endswith(("\\", "|"))


def run_shell(
    commands: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
) -> list[Answer]:
    """Runs the commands in one shell, one after the other, whatever becomes of each."""
    script = "".join(f"{command}\nprintf '%s %s\\n' {_MARK} $?\n" for command in commands)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    texts = re.split(rf"{_MARK} (\d+)\n", done.stdout)
    assert len(texts) == 2 * len(commands) + 1, done.stdout
    return [Answer(int(status), text) for text, status in zip(texts[:-1:2], texts[1::2], strict=True)]


def events(text: str) -> list[Any]:
    """The JSON values in an answer: one, or those of a stream, `LEFT_OUT` for a line that says so. Of what is no
    JSON, its lines, without what is different each time."""
    if not text.startswith(("data: ", "{", "[")):
        return [[" ".join(_DIFFERENT_IN_TEXT.sub("@", line).split()) for line in text.splitlines()]]
    if not text.startswith("data: "):
        return [json.loads(text)]
    found = re.split(rf"^(data: |{LEFT_OUT}$)", text, flags=re.MULTILINE)
    marked = zip(found[1::2], found[2::2], strict=True)
    return [LEFT_OUT if mark == LEFT_OUT else json.loads(data) for mark, data in marked]


def compare_answers(shown: str, got: str) -> None:
    """Raises `AssertionError` where `got` is not what is shown: the same keys and values, other ids, times and
    row counts. What the README leaves out (`…`) may be anything, and a text may have come in several parts."""
    remaining = iter(enumerate(map(_with_whole_texts, events(got))))
    skipping = False
    for event in events(shown):
        if event == LEFT_OUT:
            skipping = True
            continue
        _compare_next(event, remaining, skipping)
        skipping = False
    assert skipping or not list(remaining), "there is more than what is shown"


def _with_whole_texts(value: Any) -> Any:
    """How many chunks the text of an answer comes in, and so how many parts it has, is a matter of time."""
    if isinstance(value, dict):
        return {key: _with_whole_texts(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    whole: list[Any] = []
    for item in map(_with_whole_texts, value):
        if whole and _is_text(item) and _is_text(whole[-1]) and {**item, "text": ""} == {**whole[-1], "text": ""}:
            whole[-1] = {**item, "text": whole[-1]["text"] + item["text"]}
        else:
            whole.append(item)
    return whole


def _is_text(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("text"), str)


def _compare_next(shown: Any, remaining: Iterable[tuple[int, Any]], skipping: bool) -> None:
    problem = "there is less than what is shown"
    for number, event in remaining:
        problem = _difference(shown, event, f"[{number}]") or ""
        if not problem or not skipping:
            break
    assert not problem, problem


def _difference(shown: Any, got: Any, path: str, *, counted: bool = False) -> str | None:
    if isinstance(shown, dict) and isinstance(got, dict):
        return _difference_of_objects(shown, got, path)
    if isinstance(shown, list) and isinstance(got, list):
        return _difference_of_lists(shown, got, path)
    same = type(shown) is type(got) and (shown == got or counted)
    if isinstance(shown, str) and isinstance(got, str):
        same = same or _is_like(shown, got)
    return None if same else f"{path}: {shown!r} is shown, {got!r} is what came"


def _difference_of_objects(shown: dict[str, Any], got: dict[str, Any], path: str) -> str | None:
    named = shown.keys() - {LEFT_OUT}
    if named - got.keys() or (got.keys() - named and LEFT_OUT not in shown):
        return f"{path}: {sorted(named)} are shown, {sorted(got)} are what came"
    counted = path.rpartition(".")[2] in _ROW_COUNTS
    differences = (_difference(shown[key], got[key], f"{path}.{key}", counted=counted) for key in sorted(named))
    return next(filter(None, differences), None)


def _difference_of_lists(shown: list[Any], got: list[Any], path: str) -> str | None:
    named = shown[:-1] if shown[-1:] == [LEFT_OUT] else shown
    if len(got) < len(named) or (len(got) > len(named) and named is shown):
        return f"{path}: {len(shown)} items are shown, {len(got)} are what came"
    differences = (_difference(one, got[at], f"{path}[{at}]") for at, one in enumerate(named))
    return next(filter(None, differences), None)


def _is_like(shown: str, got: str) -> bool:
    if any(kind.fullmatch(shown) and kind.fullmatch(got) for kind in _DIFFERENT_EACH_TIME):
        return True
    return re.fullmatch(".*".join(map(re.escape, shown.split(LEFT_OUT))), got, re.DOTALL) is not None
