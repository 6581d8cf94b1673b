"""A client that sends what it is given, byte for byte, on connections that it keeps."""

import asyncio
from dataclasses import dataclass, field

LONGEST_ANSWER = 16 * 1024 * 1024
SECONDS = 30.0


class NoAnswer(Exception):
    """The server has closed the connection, or said something that is not HTTP, or nothing in time."""


@dataclass(frozen=True)
class Request:
    """`name` is the route that is meant, for the tally."""

    name: str
    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def to_bytes(self) -> bytes:
        lines = [self.method.encode() + b" " + self.target + b" HTTP/1.1", b"Host: 127.0.0.1"]
        lines += [name + b": " + value for name, value in self.headers]
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"", self.body])


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    """Of a stream of events, its first piece."""


@dataclass
class Connection:
    """One connection at a time; a new one where the last was closed."""

    port: int
    _open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None, repr=False)

    async def ask(self, request: Request) -> Answer:
        """Raises `NoAnswer`."""
        for is_kept in (self._open is not None, False):
            try:
                async with asyncio.timeout(SECONDS):
                    return await self._exchange(request)
            except (OSError, asyncio.IncompleteReadError) as error:
                await self.close()
                # The server may close a kept connection at any moment; on a new one it has to answer.
                if not is_kept:
                    raise NoAnswer(f"{request.name}: {error!r}") from error
            except (TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
                await self.close()
                raise NoAnswer(f"{request.name}: {error!r}") from error
        raise AssertionError("the second time is the last")

    async def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    async def _exchange(self, request: Request) -> Answer:
        if self._open is None:
            self._open = await asyncio.open_connection("127.0.0.1", self.port, limit=1024 * 1024)
        reader, writer = self._open
        writer.write(request.to_bytes())
        status = 100
        while status == 100:  # said before the answer, to who expects it
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head[0].split(" ")[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await self._body(reader, request, status, headers)
        if headers.get("connection") == "close" or headers.get("content-type", "").startswith("text/event-stream"):
            await self.close()
        return Answer(status, headers, body)

    async def _body(
        self, reader: asyncio.StreamReader, request: Request, status: int, headers: dict[str, str]
    ) -> bytes:
        if request.method == "HEAD" or status in (204, 304):
            return b""
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
            if len(body) > LONGEST_ANSWER:
                raise ValueError("an answer without an end")
            if headers.get("content-type", "").startswith("text/event-stream"):
                return body
        await reader.readuntil(b"\r\n")
        return body
