"""Writing a project: all of it, or nothing."""

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from scaffold.errors import CannotWrite, DirectoryTaken

_SECRET = 0o600
"""The mode of a file that tokens and keys are going to be written into."""


def write_project(plan: Mapping[str, str], directory: Path) -> None:
    """Writes the files into `directory`, which may be there if it is empty.

    Raises `DirectoryTaken` or `CannotWrite`; then everything is as it was before.
    """
    directory = directory.absolute()
    check_free(directory)
    try:
        if directory.exists():
            _fill(plan, directory)
        else:
            _create(plan, directory)
    except OSError as error:
        raise CannotWrite(f"cannot write {directory}: {error.strerror or error}") from error


def check_free(directory: Path) -> None:
    """Raises `DirectoryTaken` when a project cannot go there, because something is there already."""
    try:
        if directory.is_dir():
            if any(directory.iterdir()):
                raise DirectoryTaken(
                    f"{directory} is not empty; nothing is ever overwritten, choose another with --dir"
                )
        elif directory.exists() or directory.is_symlink():
            raise DirectoryTaken(f"{directory} is there and is not a directory, choose another with --dir")
    except OSError as error:
        raise CannotWrite(f"cannot look into {directory}: {error.strerror or error}") from error


def _create(plan: Mapping[str, str], directory: Path) -> None:
    """Builds the missing directories under another name, and gives them theirs at the very end."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    top = missing[-1]
    stage = _stage_in(top.parent)
    try:
        _write_files(plan, stage / directory.relative_to(top))
        stage.rename(top)
    except BaseException:
        shutil.rmtree(stage)
        raise


def _fill(plan: Mapping[str, str], directory: Path) -> None:
    """Builds inside the directory, which somebody may be working in, and moves the files up at the very end."""
    stage = _stage_in(directory)
    moved: list[Path] = []
    try:
        _write_files(plan, stage)
        for file in list(stage.iterdir()):
            goal = directory / file.name
            file.rename(goal)
            moved.append(goal)
        stage.rmdir()
    except BaseException:
        for file in moved:
            file.unlink()
        shutil.rmtree(stage)
        raise


def _stage_in(parent: Path) -> Path:
    stage = parent / f".scaffold-{secrets.token_hex(6)}"
    stage.mkdir()
    return stage


def _write_files(plan: Mapping[str, str], directory: Path) -> None:
    for path, text in plan.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=_SECRET if file.name == ".env" else 0o666)
        file.write_text(text, encoding="utf-8", newline="\n")
