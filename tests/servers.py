"""A real server for an ASGI application, in the test's own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from groundwork.http.serving import bind, server_config


class StartupFailed(Exception):
    """The application's lifespan raised; its traceback is in the captured log."""


class _Server(uvicorn.Server):
    """Leaves SIGINT and SIGTERM to pytest, and does not end the process when the application cannot start."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(server_config(app, 2, lifespan="auto"))
        self.ready = asyncio.Event()
        self.told_to_stop = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self.told_to_stop.set()

    async def main_loop(self) -> None:
        """Stops when it is told, instead of at the next look, ten times a second."""
        await self.on_tick(0)
        await self.told_to_stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the library does, without the pause it makes for connections when none is open."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for listener in sockets or []:
            listener.close()
        await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise StartupFailed("the application's lifespan failed") from error
        self.ready.set()


@contextlib.asynccontextmanager
async def run_server(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serves `app`, its lifespan included, on 127.0.0.1, port 0 being any free one; yields the base URL, without a
    slash.

    At the end the server is shut down the way a process would be: no new connections, then whatever is
    still running gets two seconds. Raises `StartupFailed`.
    """
    with bind("127.0.0.1", port) as listener:
        server = _Server(app)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="test-server")
        try:
            ready = asyncio.create_task(server.ready.wait())
            await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            if server.ready.is_set():
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stop()
            await serving
