"""An MCP server that is written by hand, so that it can do what no library would let it do.

A tool is named after what its server does with a call; `well` answers as one should, with its arguments. Over HTTP
it is `Strange().app`; over stdio `python strange_mcp.py [SEED]`, with the same tools. With a seed, half of the
calls go wrong at random, whichever tool is called.
"""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

Id = int | str | None


def answer(call: Id, result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": call, "result": result}).encode()


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


def half_an_emoji(call: Id) -> bytes:
    return answer(call, text("a \ud83d b"))


# By their names: what comes back instead of an answer. All but the first few cannot be read.
READABLE: Mapping[str, Callable[[Id], bytes]] = {
    "half_an_emoji": half_an_emoji,
    "id_as_text": lambda call: answer(str(call), text("an id as text")),
    "null_error": lambda call: answer(call, text("no error"))[:-1] + b', "error": null}',
    "not_utf8": lambda call: answer(call, text("caf?")).replace(b"?", b"\xe9"),
    "nan": lambda call: answer(call, {"content": [], "structuredContent": {"value": float("nan")}}),
}
UNREADABLE: Mapping[str, Callable[[Id], bytes]] = {
    "null_result": lambda call: answer(call, None),
    "list_result": lambda call: answer(call, [1]),
    "wrong_id": lambda _: answer(4711, text("for somebody else")),
    "both": lambda call: answer(call, text("yes"))[:-1] + b', "error": {"code": 1, "message": "no"}}',
    "cut": lambda call: answer(call, text("x" * 2000))[:1000],
    "huge": lambda call: answer(call, text("x" * 17_000_000)),
}
# Over HTTP, where an answer belongs to a request whatever it is.
BODIES: Mapping[str, tuple[int, str, bytes]] = {
    "html": (200, "text/html", b"<html><body>Sign in</body></html>"),
    "not_json": (200, "application/json", b"this is not JSON"),
    "scalar": (200, "application/json", b"42"),
    "empty": (200, "application/json", b""),
    "no_type": (200, "", b"?"),
    "accepted": (202, "application/json", b""),
}
STREAMS: Mapping[str, bytes] = {
    "stream_ends": b": nothing\n\n",
    "stream_of_junk": b"event: message\ndata: junk\n\n",
    "stream_of_html": b"data: <html>\ndata: </html>\n\n",
}


@dataclass
class Strange:
    """`tools` are listed as they are, and `results` are what calling them gives; others do as they are called."""

    tools: Sequence[Any] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=lambda: {"tools": {}})
    seed: int | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def app(self) -> Starlette:
        methods = ["POST", "GET", "DELETE"]
        return Starlette(routes=[Route("/mcp", self.http, methods=methods)])

    def named(self, message: Mapping[str, Any]) -> str:
        """What is to be done with a call."""
        name = str(message["params"]["name"])
        self.calls.append((name, message["params"].get("arguments")))
        if self.seed is None or self._random.random() < 0.5:
            return name
        return self._random.choice([*READABLE, *UNREADABLE, *BODIES, *STREAMS])

    def usual(self, message: Mapping[str, Any]) -> bytes | None:
        """What is answered in MCP's own terms; `None` when nothing is."""
        call, method = message.get("id"), message.get("method")
        if method == "initialize":
            info = {"name": "strange", "version": "1"}
            version = message["params"]["protocolVersion"]
            return answer(
                call, {"protocolVersion": version, "capabilities": dict(self.capabilities), "serverInfo": info}
            )
        if method == "ping":
            return answer(call, {})
        if method == "tools/list" and "tools" in self.capabilities:
            every = ["well", *READABLE, *UNREADABLE, *BODIES, *STREAMS, "slow"]
            return answer(call, {"tools": [*self.tools, *({"name": name, "inputSchema": {}} for name in every)]})
        if call is not None and method != "tools/call":
            unknown = {"code": -32601, "message": "Method not found"}
            return json.dumps({"jsonrpc": "2.0", "id": call, "error": unknown}).encode()
        return None

    def result_of(self, message: Mapping[str, Any]) -> Any:
        name, arguments = message["params"]["name"], message["params"].get("arguments")
        return self.results.get(name, {"content": [], "structuredContent": arguments})

    async def http(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=405)
        message = await request.json()
        self.methods.append(str(message.get("method")))
        if (said := self.usual(message)) is not None:
            return Response(said, media_type="application/json")
        if message.get("method") != "tools/call":
            return Response(status_code=202)
        name = self.named(message)
        if name in BODIES:
            status, kind, body = BODIES[name]
            return Response(body, status, media_type=kind or None)
        if name in STREAMS:
            return StreamingResponse(iter([STREAMS[name]]), media_type="text/event-stream")
        if name == "slow":
            return StreamingResponse(self._slowly(message), media_type="text/event-stream")
        if request.query_params.get("stream"):
            body = b"data: " + self._body(name, message) + b"\n\n"
            return StreamingResponse(iter([body]), media_type="text/event-stream")
        return Response(self._body(name, message), media_type="application/json")

    def _body(self, name: str, message: Mapping[str, Any]) -> bytes:
        call: Id = message["id"]
        made = READABLE.get(name) or UNREADABLE.get(name)
        return made(call) if made else answer(call, self.result_of(message))

    async def _slowly(self, message: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """Says how far it is, as often and for as long as the arguments have it."""
        given = message["params"].get("arguments") or {}
        token = message["params"].get("_meta", {}).get("progressToken")
        for step in range(int(given.get("steps", 0))):
            await asyncio.sleep(float(given.get("seconds", 0)))
            said = {"progressToken": token, "progress": step}
            note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": said}
            yield b"data: " + json.dumps(note).encode() + b"\n\n"
        yield b"data: " + answer(message["id"], text("at last")) + b"\n\n"

    def stdio(self) -> None:
        """Answers what stands in each line; beside that, it prints what it likes."""
        out = sys.stdout.buffer
        sys.stderr.write("a word on stderr\n")
        sys.stderr.flush()
        for line in sys.stdin:
            message = json.loads(line)
            if message.get("method") == "ping":
                continue  # one is still open at most calls that come after what cannot be read
            if message.get("method") == "tools/call":
                name = self.named(message)
                if name == "flood":
                    out.write(b"no message\n" * 20_000)
                said: bytes | None = self._body(name, message)
            else:
                said = self.usual(message)
            if said is not None:
                out.write(b"Processing request...\n" + said + b"\n")
                out.flush()


if __name__ == "__main__":
    Strange(tools=[{"name": "flood"}], seed=int(sys.argv[1]) if len(sys.argv) > 1 else None).stdio()
