"""`registry profiles`: which registries a person works with, in `~/.config/registry/profiles.toml`."""

import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from groundwork.command import CANNOT, complain
from groundwork.outgoing.urls import is_url
from groundwork.output import AsJson, show, show_one
from registry.cli.common import PROGRAM

app = typer.Typer(help="Registries that you work with, by names of your own.", no_args_is_help=True)

NONE = "none"
"""The profile that is none: what the environment and the settings say."""

CHOSEN: ContextVar[str | None] = ContextVar("profile", default=None)
"""What `--profile` says, anywhere on the line."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_COLUMNS = ("name", "url", "token", "is_default")

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]


@dataclass(frozen=True)
class Profile:
    """A registry, and the token for it, here or in a file of its own."""

    url: str
    token: str = ""
    token_file: str = ""

    def read_token(self) -> str:
        """The token; empty where the profile has none. Raises `typer.Exit`."""
        if not self.token_file:
            return self.token
        path = Path(self.token_file).expanduser()
        try:
            return path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            _refuse(f"the token file {path} cannot be read: {error}")


@dataclass(frozen=True)
class Profiles:
    by_name: Mapping[str, Profile]
    default: str = ""


def profiles_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    home = Path(base) if base and Path(base).is_absolute() else Path("~/.config").expanduser()
    return home / "registry" / "profiles.toml"


def load_profiles() -> Profiles:
    """Raises `typer.Exit` for a file that cannot be used."""
    path = profiles_file()
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Profiles({})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        _refuse(f"{path}: {error}")
    tables = content.get("profiles", {})
    if not isinstance(tables, dict):
        _refuse(f"{path}: profiles must be a table of tables")
    return Profiles(
        {name: _profile(path, name, table) for name, table in tables.items()}, str(content.get("default", ""))
    )


def find_profile(name: str | None) -> tuple[str, Profile] | None:
    """The profile of that name, or else the default one. Raises `typer.Exit` for a name that there is not."""
    if name == NONE:
        return None
    profiles = load_profiles()
    wanted = name or profiles.default
    if not wanted:
        return None
    if wanted not in profiles.by_name:
        there = ", ".join(profiles.by_name) or "none"
        _refuse(f"there is no profile {wanted!r} in {profiles_file()}; there are: {there}")
    return wanted, profiles.by_name[wanted]


@app.command("list")
def list_profiles(as_json: AsJson = False) -> None:
    """List profiles; tokens are not shown."""
    profiles = load_profiles()
    shown = [_shown(name, profile, profiles.default) for name, profile in profiles.by_name.items()]
    show({"profiles": shown, "file": str(profiles_file())}, shown, _COLUMNS, as_json=as_json)


@app.command()
def add(
    name: Name,
    url: Annotated[str, typer.Option(help="Where the registry is.", show_default=False)],
    token_file: Annotated[
        Path | None, typer.Option(help="A file with the token, read at every command.", show_default=False)
    ] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the token from stdin and keep it in the profile.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a profile, or replace it. The first one is the default."""
    if not _NAME.fullmatch(name) or name == NONE:
        _refuse(f"{name!r} is no name of a profile; accepted: letters, digits, '.', '_' and '-', and not {NONE!r}")
    if not is_url(url) or "?" in url or "#" in url:
        _refuse("--url: accepted is an http or https URL without credentials, a query or a fragment")
    token = sys.stdin.readline().strip() if token_stdin else ""
    if token_stdin and not _TOKEN.fullmatch(token):
        _refuse("--token-stdin: accepted is a token on one line of stdin, printable ASCII without blanks")
    profile = Profile(url.rstrip("/"), token, str(token_file.absolute()) if token_file else "")
    profiles = load_profiles()
    changed = Profiles({**profiles.by_name, name: profile}, profiles.default or name)
    _save(changed)
    show_one(_shown(name, profile, changed.default), as_json=as_json)


@app.command()
def use(name: Name, as_json: AsJson = False) -> None:
    """Make a profile the default; `none`: no profile is."""
    found = find_profile(name)
    _save(Profiles(load_profiles().by_name, found[0] if found else ""))
    show_one({"default": found[0] if found else None}, as_json=as_json)


@app.command()
def remove(name: Name, as_json: AsJson = False) -> None:
    """Forget a profile. Its token stays what it is at the registry."""
    profiles = load_profiles()
    if name not in profiles.by_name:
        _refuse(f"there is no profile {name!r} in {profiles_file()}")
    rest = {each: profile for each, profile in profiles.by_name.items() if each != name}
    _save(Profiles(rest, "" if profiles.default == name else profiles.default))
    show_one({"name": name, "removed": True}, as_json=as_json)


def _profile(path: Path, name: str, table: Any) -> Profile:
    texts = isinstance(table, dict) and all(isinstance(value, str) for value in table.values())
    if not texts or not set(table) <= {"url", "token", "token_file"}:
        _refuse(f"{path}: profiles.{name}: accepted are the texts url, token and token_file")
    if not table.get("url"):
        _refuse(f"{path}: profiles.{name}: url is missing")
    return Profile(**table)


def _save(profiles: Profiles) -> None:
    """Replace the file as a whole; nobody else may read it."""
    path = profiles_file()
    lines = [f"default = {_quoted(profiles.default)}"] if profiles.default else []
    for name, profile in profiles.by_name.items():
        lines += ["", f"[profiles.{_quoted(name)}]"]
        lines += [f"{key} = {_quoted(value)}" for key, value in asdict(profile).items() if value]
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write("\n".join(lines).lstrip("\n") + "\n")
            beside.replace(path)
        except OSError:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        _refuse(f"{path} cannot be written: {error.strerror}")


def _quoted(text: str) -> str:
    """As TOML's basic strings have it, which read JSON's but for a character that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _shown(name: str, profile: Profile, default: str) -> dict[str, object]:
    token = "kept here" if profile.token else profile.token_file or None
    return {"name": name, "url": profile.url, "token": token, "is_default": name == default}


def _refuse(text: str) -> NoReturn:
    complain(PROGRAM, text)
    raise typer.Exit(CANNOT)
