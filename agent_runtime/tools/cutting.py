"""Text from outside, kept to a size that a conversation can hold."""

LONGEST_TEXT = 1024 * 1024


def cut(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text, or as much of it as fits in `longest` bytes of UTF-8 with a note that says so."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= longest:
        return text
    kept = encoded[:longest].decode(errors="ignore")
    return f"{kept}\n[cut: the whole text has {len(encoded)} bytes, {longest} are shown]"
