"""Bytes that come in pieces, cut into lines."""

from collections.abc import Iterator


class LineReader:
    """What was fed, in lines without their ends. Of a line longer than `longest` bytes only the beginning is kept;
    `too_long` says so while that line is handed out."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.too_long = False
        self._line = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that the chunk completes."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            self._add(piece)
            yield bytes(self._line).removesuffix(b"\r")
            self._line.clear()
            self.too_long = False
        self._add(rest)

    def rest(self) -> bytes:
        """Return what follows the last end of a line."""
        return bytes(self._line)

    def _add(self, piece: bytes) -> None:
        room = self.longest - len(self._line)
        self.too_long = self.too_long or len(piece) > room
        self._line += piece[:room]
