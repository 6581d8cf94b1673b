"""A real MCP server as a process of its own, for tests: `python mcp_servers.py http PORT` or `... stdio`.

Its tools: `add`, `shout` (never fails), `fail`, `record` and `record_idempotent` (append a line to the file
named by `EFFECTS` and, while the file named by `DIE` exists, take the process down before answering),
`sleep`, `big` (a text of a given length), `add_tool` (announces a new tool), `reveal` (an environment variable, or
a header of the request) and `order` (asks how many, and perhaps whether that is meant, before it does it).
"""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.forked import ForkedProcess

_START_SECONDS = 20


@dataclass
class McpProcess:
    """A server over streamable HTTP on a port that stays the same when it is started again."""

    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    process: "ForkedProcess | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Returns when the server accepts connections."""
        from tests.forked import forks  # not there where a server over stdio is started by its path

        environment = {**os.environ, **self.environment}
        arguments = ["http", str(self.port)]
        self.process = forks().start("tests.mcp_servers", arguments, Path(os.devnull), environment, Path.cwd())
        give_up_at = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up_at:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=0.2):
                return
            if self.process.poll() is not None:
                raise RuntimeError(f"the MCP server ended with status {self.process.returncode}")
            time.sleep(0.02)
        raise TimeoutError("the MCP server did not start")

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """The way a crash ends it: at once, without a goodbye."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def start_mcp_server(
    *, environment: Mapping[str, str] | None = None, started: bool = True
) -> Iterator[McpProcess]:
    """A server over streamable HTTP on a free port; with `started=False` it waits for `.start()`."""
    server = McpProcess(free_port(), environment or {})
    try:
        if started:
            server.start()
        yield server
    finally:
        server.kill()


def stdio_command() -> tuple[str, list[str]]:
    """Command and arguments of the same server over stdio."""
    return sys.executable, [__file__, "stdio"]


def main(transport: str, port: int = 0) -> None:
    import anyio
    from mcp.server.fastmcp import Context, FastMCP
    from mcp.types import ToolAnnotations
    from pydantic import BaseModel

    server = FastMCP("test", host="127.0.0.1", port=port, log_level="ERROR")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @server.tool(name="shout.loud")
    def shout(text: str) -> str:
        """A name that model providers would refuse."""
        return text.upper()

    @server.tool()
    def fail() -> str:
        """Always fails."""
        raise ValueError("this tool always fails")

    def note(what: str) -> str:
        with Path(os.environ["EFFECTS"]).open("a") as file:
            file.write(f"{what}\n")
        trap = Path(os.environ.get("DIE", "/nonexistent"))
        if trap.exists():
            trap.unlink()
            os._exit(1)
        return f"noted {what}"

    @server.tool()
    def record(what: str) -> str:
        """Has an effect."""
        return note(what)

    @server.tool(annotations=ToolAnnotations(idempotentHint=True))
    def record_idempotent(what: str) -> str:
        """Has an effect that may be repeated."""
        return note(what)

    @server.tool()
    async def sleep(seconds: float) -> str:
        """Takes its time."""
        await anyio.sleep(seconds)
        return "awake"

    @server.tool()
    def block(seconds: float) -> str:
        """Takes its time, and everybody else's."""
        time.sleep(seconds)
        return "awake"

    @server.tool()
    def big(length: int) -> str:
        """A long text."""
        return "x" * length

    @server.tool()
    async def add_tool(name: str, ctx: Context) -> str:  # type: ignore[type-arg]
        """Adds a tool of that name."""

        def late() -> str:
            return "better than never"

        server.add_tool(late, name=name)
        await ctx.session.send_tool_list_changed()
        return "added"

    @server.tool()
    def reveal(name: str, ctx: Context) -> str:  # type: ignore[type-arg]
        """An environment variable, or a header of the request."""
        request = ctx.request_context.request
        header = request.headers.get(name) if request is not None else None
        return str(header or os.environ.get(name, ""))

    class Count(BaseModel):
        count: int

    class Sure(BaseModel):
        sure: bool

    @server.tool()
    async def order(what: str, ctx: Context, confirm: bool = False) -> str:  # type: ignore[type-arg]
        """Asks before it does anything."""
        note(f"asked for {what}")
        answer = await ctx.elicit(f"How many of {what}?", Count)
        if answer.action != "accept":
            return f"{answer.action} of {what}"
        if confirm and (await ctx.elicit(f"Really {answer.data.count} of {what}?", Sure)).action != "accept":
            return "not sure"
        note(f"ordered {answer.data.count} of {what}")
        return f"accept {answer.data.count} of {what}"

    server.run(transport="stdio" if transport == "stdio" else "streamable-http")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
