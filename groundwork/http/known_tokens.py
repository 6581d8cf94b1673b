"""Bearer tokens and whose they are, read again when one is not known: it may have been made since."""

import hmac
from collections.abc import Callable, Mapping


class KnownTokens:
    """Tokens to names. `reread` brings them up to date with where they come from (see `replace`); whether it may
    do so again already is its own business."""

    def __init__(self, tokens: Mapping[str, str], reread: Callable[[], object] = lambda: None) -> None:
        self._reread = reread
        self.replace(tokens)

    def replace(self, tokens: Mapping[str, str]) -> None:
        """These are the tokens from now on."""
        self._tokens = [(token.encode(), name) for token, name in tokens.items()]

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def find_name(self, given: bytes) -> str | None:
        """Return whose token this is."""
        name = self._find(given)
        if name is None:
            self._reread()
            name = self._find(given)
        return name

    def _find(self, given: bytes) -> str | None:
        # Every token is compared, so that the time says nothing about which one came close.
        names = [name for token, name in self._tokens if hmac.compare_digest(token, given)]
        return names[0] if names else None
