"""Running ASGI apps until a signal: two listeners or one, one way to stop."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from groundwork.http.slow_clients import SlowClientProtocol
from groundwork.process.garbage import resume_collection

logger = logging.getLogger(__name__)


class AddressInUse(Exception):
    """The address cannot be listened on; the message names it and says why."""


@dataclass(frozen=True)
class Listener:
    """An app and the socket it answers on."""

    app: ASGIApp
    socket: socket.socket


def http_url(host: str, port: int) -> str:
    """The URL of a server that listens there."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def url_of(listening: socket.socket) -> str:
    """The URL of a server behind the socket."""
    return http_url(*listening.getsockname()[:2])


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on the address; port 0 takes a free one. Raises `AddressInUse`.

    It listens at once: a second process that wants the address is refused now, not when both are half started.
    Who connects before the app is there waits for it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: of a socket that does not say so, asyncio leaves Nagle's algorithm on, which holds the body of
    # an answer back until its head is acknowledged, 40 ms on a connection that is used again.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(2048)
    except (OSError, OverflowError) as error:
        bound.close()
        raise AddressInUse(f"cannot listen on {host}:{port}: {error}") from error
    return bound


async def serve(
    listeners: Sequence[Listener], grace_seconds: float, on_stop: Callable[[], None] = lambda: None
) -> None:
    """Serves until SIGINT or SIGTERM, then stops accepting and lets open requests end, for `grace_seconds`.

    The process is taken to be loaded: see `groundwork.process.garbage`.

    `on_stop` is called at the first signal: what must not begin any more can be told so before the wait.
    A second signal stops at once: the requests that are still open are cut, and the caller is cancelled so
    that it closes what it has opened without waiting for work to end.
    """
    servers = [_server(listener, grace_seconds) for listener in listeners]

    def stop() -> None:
        logger.info("shutdown started, refusing new requests")
        for server in servers:
            server.should_exit = True
        on_stop()

    def cut() -> None:
        for server in servers:
            server.force_exit = True

    _at_signals(stop, cut)
    resume_collection()
    await asyncio.gather(
        *(server.serve(sockets=[listener.socket]) for server, listener in zip(servers, listeners, strict=True))
    )


async def until_signal(on_stop: Callable[[], None] = lambda: None) -> None:
    """Returns at SIGINT or SIGTERM, for processes that serve nothing; `on_stop` is called then. A second signal
    cancels the caller."""
    stopped = asyncio.Event()

    def stop() -> None:
        logger.info("shutdown started")
        on_stop()
        stopped.set()

    _at_signals(stop, lambda: None)
    resume_collection()
    await stopped.wait()


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: with two servers in a process each would undo the other's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(listener: Listener, grace_seconds: float) -> _Server:
    return _Server(server_config(listener.app, grace_seconds))


def server_config(
    app: ASGIApp, grace_seconds: float, *, lifespan: Literal["off", "auto"] = "off"
) -> uvicorn.Config:
    """How every server of ours is run."""
    return uvicorn.Config(
        app,
        lifespan=lifespan,
        http=SlowClientProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        # The advertised URL is configured, never guessed from headers that any client can send.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(grace_seconds)),
    )


def _at_signals(stop: Callable[[], None], cut: Callable[[], None]) -> None:
    """Calls `stop` at the first signal, and at the second one `cut`, and cancels the caller.

    The handlers stay until the loop ends: a second Ctrl-C must also cut short what is closed after serving.
    """
    loop = asyncio.get_running_loop()
    this_task = asyncio.current_task()
    told = False

    def at_signal() -> None:
        nonlocal told
        if not told:
            told = True
            stop()
            return
        logger.warning("shutdown forced by a second signal")
        cut()
        if this_task is not None:
            this_task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, at_signal)
