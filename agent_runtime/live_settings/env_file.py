"""Changing one variable in a `.env` file and nothing else in it."""

import errno
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

logger = logging.getLogger(__name__)

# What python-dotenv takes for an assignment, in its parts: export and name, the value, the comment behind it.
_ASSIGNMENT = re.compile(
    r"""(?P<before>\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=\#\s]+))
        (?:(?P<equals>[^\S\r\n]*=)(?P<gap>[^\S\r\n]*)
           (?P<value>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?!\#)[^\r\n]*?))?
        (?P<after>[^\S\r\n]*(?:(?<=['"\s])\#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r)?)""",
    re.VERBOSE | re.DOTALL,
)
_NEEDS_NO_QUOTES = re.compile(r"[\w./:%@+,=~?\[\]-]+", re.ASCII)

# A file that is a mount of its own, or stands in a directory that takes no new file, can still be written.
_CANNOT_REPLACE = {errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG}


def set_variable(path: Path, name: str, value: str) -> bool:
    """Sets `name` in the file, keeping its other lines, comments, mode and owner. Whether that worked.

    The file is replaced atomically, or rewritten in place where it cannot be replaced. It is never created,
    and one that is read-only, for its owner's reasons, stays as it is: the answer is then False.
    """
    try:
        file = path.resolve(strict=True)
        old = file.read_bytes().decode()
        new = with_variable(old, name, value)
        if new is None:
            logger.warning(
                "env file not written file=%s name=%s: no spelling of the value would be read back as it is",
                path,
                name,
            )
            return False
        if new != old:
            _write(file, new.encode())
    except (OSError, UnicodeDecodeError) as error:
        logger.warning("env file not written file=%s: %s", path, error)
        return False
    return True


def with_variable(text: str, name: str, value: str) -> str | None:
    """The text of a `.env` file with `name` set to `value`: its last assignment changed, or one added.

    None when no spelling of the value can be read back unchanged.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    bindings = list(parse_stream(StringIO(text.removeprefix(mark), newline="")))
    spelled = (_assign(bindings, name, spelling) for spelling in _spellings(value))
    return next((mark + new for new in spelled if _reads_back(bindings, new, name, value)), None)


def _spellings(value: str) -> Iterator[str]:
    # python-dotenv expands ${NAME} whatever the quotes; the default of a variable without a name is the one
    # way to write the dollar sign itself.
    value = value.replace("${", "${:-$}{")
    if _NEEDS_NO_QUOTES.fullmatch(value):
        yield value
    escaped = value.replace("\\", "\\\\")
    yield "'" + escaped.replace("'", "\\'") + "'"
    yield '"' + escaped.replace('"', '\\"') + '"'


def _assign(bindings: list[Binding], name: str, spelling: str) -> str:
    lines = [binding.original.string for binding in bindings]
    places = [place for place, binding in enumerate(bindings) if _sets(binding, name)]
    parts = _ASSIGNMENT.fullmatch(lines[places[-1]]) if places else None
    if parts is not None:
        equals = (parts["equals"] or "=") + (parts["gap"] if parts["value"] else "")
        space = " " if parts["after"].startswith("#") else ""
        lines[places[-1]] = f"{parts['before']}{equals}{spelling}{space}{parts['after']}"
        return "".join(lines)
    text = "".join(lines)
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text or text.endswith(("\n", "\r")) else newline
    return f"{text}{gap}{name}={spelling}{newline}"


def _reads_back(bindings: list[Binding], text: str, name: str, value: str) -> bool:
    values = {key.lower(): value for key, value in dotenv_values(stream=StringIO(text, newline="")).items()}
    kept = _other_values(list(parse_stream(StringIO(text, newline=""))), name)
    return values.get(name.lower()) == value and kept == _other_values(bindings, name)


def _other_values(bindings: list[Binding], name: str) -> list[tuple[str, str | None]]:
    return [(binding.key, binding.value) for binding in bindings if binding.key and not _sets(binding, name)]


def _sets(binding: Binding, name: str) -> bool:
    # Settings are read without regard to case, so that is how the name is found.
    return binding.key is not None and binding.key.lower() == name.lower()


def _write(file: Path, content: bytes) -> None:
    # Root may write anything; a file without any write permission says that nobody should.
    if not file.stat().st_mode & 0o222 or not os.access(file, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only", str(file))
    try:
        _replace(file, content)
    except OSError as error:
        if error.errno not in _CANNOT_REPLACE:
            raise
        _overwrite(file, content)


def _replace(file: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(content)
            temporary.flush()
            os.fsync(handle)
        shutil.copymode(file, name)
        old, new = file.stat(), Path(name).stat()
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.chown(name, old.st_uid, old.st_gid)
        Path(name).replace(file)
    except OSError:
        Path(name).unlink()
        raise


def _overwrite(file: Path, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.write(content)
        opened.truncate()
        opened.flush()
        os.fsync(opened.fileno())
