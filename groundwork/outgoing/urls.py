"""What counts as a URL that something can be reached at, the same wherever one is given."""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

WEB = ("http", "https")


def split_url(text: str, schemes: Collection[str] = WEB) -> SplitResult:
    """Return the parts of an absolute URL that names a host as it stands. Raises `ValueError`, without the text.

    Readers of URLs differ: some take the first part of the path for a host that is missing (`http:///path`,
    `http:host`), or a backslash for a slash. What they could understand differently is refused.
    """
    accepted = f"must be an absolute {' or '.join(schemes)} URL with a host"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(accepted) from None
    host = parts.hostname or ""
    named = host.strip(".") and not any(character in host for character in "\\%<>^|`\"'")
    if parts.scheme not in schemes or not named or port == 0:
        raise ValueError(accepted)
    if not text.isprintable() or any(map(str.isspace, text)) or "\\" in text:
        raise ValueError("must not contain blanks, backslashes or control characters")
    return parts


def has_credentials(parts: SplitResult) -> bool:
    """Whether a user or a password stands before the host, be it empty."""
    return "@" in parts.netloc


def is_url(text: str, schemes: Collection[str] = WEB) -> bool:
    """Return whether `text` is a URL with a host and without credentials."""
    try:
        return not has_credentials(split_url(text, schemes))
    except ValueError:
        return False
