"""From answers to the files of a project. Nothing is written here."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

from scaffold.errors import BadAnswer

TEMPLATES = files("scaffold") / "templates"
LONGEST_NAME = 63

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?@!&()*+,;=%\[\]-]+")


class Template(StrEnum):
    GENERAL = "general"
    STRUCTURED = "structured"


@dataclass(frozen=True)
class Answers:
    """What the generator has to know. Raises `BadAnswer` for a name or a URL that cannot be used."""

    name: str
    template: Template = Template.GENERAL
    registry_url: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        check_registry_url(self.registry_url)


def check_name(name: str) -> str:
    """Returns a name that can be an agent id and a directory; raises `BadAnswer` for others."""
    if _NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    suggestion = _NOT_IN_A_NAME.sub("-", _in_ascii(name)).strip("-_0123456789")[:LONGEST_NAME]
    hint = f"; how about {suggestion}?" if suggestion else ""
    raise BadAnswer(
        f"{name!r} cannot be an agent's name: a letter, then letters, digits, - or _,"
        f" {LONGEST_NAME} characters at most{hint}"
    )


_SPELLED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa", "œ": "oe", "đ": "d", "ł": "l"}
)


def _in_ascii(name: str) -> str:
    """The name as those spell it who have no such letters; what has no spelling stays as it is."""
    lower = unicodedata.normalize("NFC", name).lower() if not name.isascii() else name
    letters = unicodedata.normalize("NFKD", lower.translate(_SPELLED))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def check_registry_url(url: str) -> str:
    """Returns an http or https URL, or nothing at all; raises `BadAnswer` for others."""
    if not url or (_is_web_address(url) and _URL_CHARACTERS.fullmatch(url)):
        return url
    raise BadAnswer(
        f"{url!r} cannot be a registry's URL: http or https, with a host and without credentials,"
        " such as http://127.0.0.1:7700"
    )


def build_plan(answers: Answers) -> dict[str, str]:
    """The files of the project: path to text.

    A file that the template and `common` both have is the template's part followed by the common one.
    """
    plan = _texts(TEMPLATES / answers.template)
    for path, text in _texts(TEMPLATES / "common").items():
        plan[path] = plan.get(path, "") + text
    plan["constraints.txt"] = (TEMPLATES / "constraints.txt").read_text(encoding="utf-8")
    return {path: _fill_in(text, answers) for path, text in sorted(plan.items())}


def _fill_in(text: str, answers: Answers) -> str:
    # A variable that is set to nothing would still hide one of the same name.
    registry = f"REGISTRY_URL={answers.registry_url}" if answers.registry_url else "# REGISTRY_URL="
    return text.replace("{{ name }}", answers.name).replace("{{ registry_setting }}", registry)


def _texts(directory: Traversable) -> dict[str, str]:
    # Hidden files are kept as dot-name: under their own names git and packagers would obey them.
    texts = {}
    for entry in directory.iterdir():
        if entry.is_file():
            texts[re.sub(r"^dot-", ".", entry.name)] = entry.read_text(encoding="utf-8")
        elif entry.name != "__pycache__":
            texts |= {f"{entry.name}/{path}": text for path, text in _texts(entry).items()}
    return texts


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and port != 0
