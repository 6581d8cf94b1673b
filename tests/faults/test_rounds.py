"""One short round, as `make soak` plays them for as long as one likes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.load import register_workflow
from tests.faults.rounds import close, play
from tests.faults.schedule import Planned, Round
from tests.faults.town import open_town

ROUND = Round(
    number=1,
    seed=7,
    faults=(
        Planned("agent killed", 0.8, 1),
        Planned("connections ended", 1.5, 2),
        Planned("worker killed", 2.0, 3),
    ),
)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short enough for a socket, and open to the user whom the server runs as."""
    with tempfile.TemporaryDirectory(prefix="faults-") as directory:
        yield Path(directory)


@pytest.mark.timeout(400)
async def test_nothing_is_lost_when_processes_die_and_connections_end_under_load(directory: Path) -> None:
    async with open_town(directory) as town:
        await register_workflow(town)
        result = await play(town, ROUND, 4)
        end = await close(town, [result.book])
    assert (result.violated, end.violated) == ({}, {})
    assert result.book.accepted
    assert result.book.executions
