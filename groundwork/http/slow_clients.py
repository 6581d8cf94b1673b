"""Uvicorn's HTTP protocol with bounds on what a client may take its time for, and on how long a head may be."""

import logging
import resource
import time
from asyncio import BaseTransport, TimerHandle
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from groundwork.bounds import CONNECTIONS, LONGEST_HEAD

logger = logging.getLogger(__name__)

HEAD_SECONDS = 10.0
"""For the first line and the headers of a request, the first one's from the connection on."""

BODY_SECONDS = 20.0
BODY_BYTES_PER_SECOND = 32 * 1024
"""A body has so long, and as much longer as it takes at this rate."""


class SlowClientProtocol(HttpToolsProtocol):
    """Closes connections on which a request comes so slowly that it must be meant to hold us up.

    Nothing of that kind reaches the application: not a request whose head is not complete, and one whose body is
    late is, for the application, one whose client has gone away.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._body_bytes = 0
        self._body_began_at = 0.0
        self._aside_bytes = 0
        self._parsed_bytes = 0
        self._waits_since = 0.0
        self._is_refused = False

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast("Any", transport))
        self._wait_for_head()
        if len(self.connections) > most_connections():
            _close_an_idle_one(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._aside_bytes += len(data)
        super().data_received(data)
        if not self._in_head and self._aside_bytes > LONGEST_HEAD:
            self._refuse(431)  # extensions of chunks, or trailers, of which the parser keeps what is not complete
        elif self._in_head and self._head_bytes > LONGEST_HEAD:
            self._refuse(431)
        elif self._is_between_requests():
            self._wait_for_head()  # empty lines, which begin no request

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._wait_for_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser reports trailers as headers. They come after the body, when the head has been judged: merged
        # into it they would let in whoever sends a token there, and take as much memory as the client likes.
        if self._in_head:
            self._count_in_head(len(name) + len(value))
            if name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
                self._refuse(501)  # the body would reach the application packed as it is
            super().on_header(name, value)

    def on_url(self, url: bytes) -> None:
        self._count_in_head(len(url))
        super().on_url(url)

    def _count_in_head(self, size: int) -> None:
        """A head that comes in one piece is counted here, part by part."""
        self._parsed_bytes += size
        if self._parsed_bytes > LONGEST_HEAD:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        if self._is_refused:
            return
        self._in_head, self._head_bytes, self._body_bytes, self._aside_bytes = False, 0, 0, 0
        self._body_began_at = self.loop.time()
        self._deadline = self.loop.call_later(BODY_SECONDS, self._look_at_body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._is_refused:
            return
        self._body_bytes += len(body)
        self._aside_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_waiting()
        if self._is_refused:
            return
        super().on_message_complete()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._in_head, self._head_bytes, self._parsed_bytes = True, 0, 0
        self._waits_since = time.monotonic()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._refuse, 408)

    def _look_at_body(self) -> None:
        now = self.loop.time()
        if self.flow.read_paused:  # it is us who are slow
            self._body_began_at = now
        left = self._body_began_at + BODY_SECONDS + self._body_bytes / BODY_BYTES_PER_SECOND - now
        if left > 0:
            self._deadline = self.loop.call_later(left, self._look_at_body)
        else:
            self._refuse(408)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        self._is_refused = True
        if not self._is_answering() and (self._head_bytes or not self._in_head):
            self.transport.write(STATUS_LINE[status] + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _is_between_requests(self) -> bool:
        waits = self._deadline is not None or self.timeout_keep_alive_task is not None
        return not waits and (self.cycle is None or self.cycle.response_complete)

    def is_idle(self) -> bool:
        """Return whether no request is under way on it: its head is not complete, or none has begun."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def waits_since(self) -> float:
        """When it began to wait for the head that is not complete yet."""
        return self._waits_since


def most_connections() -> int:
    """Return how many connections are kept open: files of the process are left for the database and the rest."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(CONNECTIONS, max(allowed // 2, allowed - 256))


_told_at = 0.0
_TELL_SECONDS = 60.0


def _close_an_idle_one(newest: SlowClientProtocol) -> None:
    """Make room: the connection that has waited longest for a request gives way, or else the newest.
    Refusing the new ones would lock everybody out for as long as somebody holds the others."""
    global _told_at
    idle = [each for each in newest.connections if isinstance(each, SlowClientProtocol) and each.is_idle()]
    min(idle, key=lambda each: each.waits_since, default=newest).transport.close()
    if time.monotonic() - _told_at > _TELL_SECONDS:
        _told_at = time.monotonic()
        logger.warning("connections closed, too many are open connections=%d", len(newest.connections))
