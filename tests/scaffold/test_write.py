from pathlib import Path

import pytest

from scaffold.errors import CannotWrite, DirectoryTaken
from scaffold.write import write_project

PLAN = {"a.txt": "a\n", "sub/b.txt": "città\n"}
IMPOSSIBLE = {**PLAN, "x" * 300: "no file system takes this name"}


def everything_in(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.mark.parametrize("path", ["p", "città nuova/ein Projekt", "a/b/c/d"])
def test_a_project_is_written_with_the_directories_it_needs(tmp_path: Path, path: str):
    write_project(PLAN, tmp_path / path)
    assert everything_in(tmp_path / path) == ["a.txt", "sub", "sub/b.txt"]
    assert (tmp_path / path / "sub/b.txt").read_bytes() == "città\n".encode()


def test_a_relative_directory_starts_where_the_user_is(tmp_path: Path):
    write_project(PLAN, Path("p"))
    assert (tmp_path / "p/a.txt").exists()


def test_an_empty_directory_is_filled_and_stays_the_same_one(tmp_path: Path):
    before = tmp_path.stat().st_ino
    write_project(PLAN, tmp_path)
    assert everything_in(tmp_path) == ["a.txt", "sub", "sub/b.txt"]
    assert tmp_path.stat().st_ino == before


@pytest.mark.parametrize("name", ["a.txt", ".hidden", "else"])
def test_a_directory_with_anything_in_it_is_left_alone(tmp_path: Path, name: str):
    (tmp_path / name).write_text("mine")
    with pytest.raises(DirectoryTaken, match="is not empty"):
        write_project(PLAN, tmp_path)
    assert everything_in(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_or_a_dangling_link_is_left_alone(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(DirectoryTaken, match="not a directory"):
            write_project(PLAN, tmp_path / name)
    assert everything_in(tmp_path) == ["file", "link"]


@pytest.mark.parametrize("path", ["p", "a/b/c"])
def test_a_failure_half_way_leaves_nothing_behind(tmp_path: Path, path: str):
    with pytest.raises(CannotWrite, match="File name too long"):
        write_project(IMPOSSIBLE, tmp_path / path)
    assert everything_in(tmp_path) == []


def test_a_failure_leaves_an_empty_directory_empty(tmp_path: Path):
    with pytest.raises(CannotWrite):
        write_project(IMPOSSIBLE, tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("path", ["file/p", "x" * 300])
def test_where_nothing_can_be_written_is_said(tmp_path: Path, path: str):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CannotWrite, match="cannot"):
        write_project(PLAN, tmp_path / path)
    assert everything_in(tmp_path) == ["file"]
