"""Which registry a command speaks to, without what it takes to speak: that is imported once it is needed."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from registry.cli.common import load, run
from registry.cli.profiles import CHOSEN, NONE, find_profile

if TYPE_CHECKING:
    from registry.cli.client import RegistryCalls

Result = TypeVar("Result")

Work = Callable[["RegistryCalls"], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Place:
    """A registry, and the token that goes there; `hint` says what to do when it lets nobody in."""

    url: str
    token: str
    hint: str = "set JAMJET_TOKEN to a token of this registry"


def named_place(url: str | None) -> Place | None:
    """The registry that is named: by `url`, a profile, JAMJET_URL or the default profile. None: nothing names one.
    Raises `typer.Exit`."""
    settings = load()
    own_token, chosen = settings.jamjet_token.get_secret_value(), CHOSEN.get()
    if chosen in (None, NONE) and (url or settings.jamjet_url):
        return Place(url or settings.jamjet_url, own_token)
    found = find_profile(chosen)
    if found is None:
        return None
    name, profile = found
    hint = f"profile {name} needs a token of this registry"
    return Place(url or profile.url, profile.read_token() or own_token, hint)


def own_place() -> Place:
    """The registry that runs with the settings. Raises `typer.Exit`."""
    settings = load()
    return Place(settings.public_url, settings.jamjet_token.get_secret_value())


def call(url: str | None, work: "Callable[[RegistryCalls], Awaitable[Result]]") -> Result:
    """As `registry.cli.client.call`."""
    from registry.cli.client import call as speak

    return speak(url, work)


def call_or_open(
    url: str | None, remote: Work, own: Callable[[], Coroutine[Any, Any, dict[str, Any]]]
) -> dict[str, Any]:
    """Ask the registry that is named; where none is, `own` works on the database of the settings. Raises
    `typer.Exit`."""
    if named_place(url) is not None:
        return call(url, remote)
    answer: dict[str, Any] = run(own())
    return answer
