"""However a command ends, it says so in one line and by its exit status."""

import asyncio

import pytest
import typer

from groundwork.command import busy, complain, run
from groundwork.http.serving import AddressInUse
from groundwork.postgres.embedded import EmbeddedPostgresFailed
from groundwork.postgres.migrations import SchemaLockTimeout, SchemaTooNew
from groundwork.postgres.pool import DatabaseNotReachable


class OfThisCommand(Exception):
    pass


async def fail(error: BaseException) -> None:
    raise error


def test_what_the_work_returns_is_returned() -> None:
    assert run("program", asyncio.sleep(0, "done")) == "done"


@pytest.mark.parametrize(
    "kind",
    [AddressInUse, DatabaseNotReachable, EmbeddedPostgresFailed, SchemaLockTimeout, SchemaTooNew, OfThisCommand],
)
def test_what_makes_it_impossible_is_one_line(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        run("program", fail(kind("it is\n  not there")), (OfThisCommand,))
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == "program: it is not there\n"


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run("program", fail(ZeroDivisionError()))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interrupted_command_says_nothing(
    interruption: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        run("program", fail(interruption()))
    assert ended.value.exit_code == 130
    assert capsys.readouterr() == ("", "")


def test_a_complaint_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    complain("program", "first\nsecond\tthird")
    assert capsys.readouterr() == ("", "program: first second third\n")


def test_nothing_moves_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with busy("Working"):
        pass
    assert capsys.readouterr() == ("", "")
