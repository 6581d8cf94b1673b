"""MCP servers that are programs, read line by line: nothing that they write ends a session."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.os.posix.utilities import terminate_posix_process_tree
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCMessage, JSONRPCRequest

from groundwork.outgoing.lines import LineReader
from groundwork.outgoing.masking import Mask
from groundwork.outgoing.mcp_messages import (
    CallId,
    Unreadable,
    answer_of,
    ids_in_broken,
    is_answer,
    is_known,
    messages_in,
    unreadable,
)
from groundwork.outgoing.mcp_server import McpServer

logger = logging.getLogger(__name__)

LONGEST_LINE = 16 * 1024 * 1024
_LONGEST_WORDS = 8 * 1024
_GOODBYE_SECONDS = 2.0
_WORDS_SECONDS, _MOST_WORDS = 60.0, 100
"""How many lines of a program's stderr are logged in so many seconds; what comes beyond that is counted."""

Waiting = tuple[Collection[CallId], CallId | None]
"""The ids of the requests that have no answer yet, and the one that an answer without a known id is for."""

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def run_server(server: McpServer, mask: Mask, waiting: Callable[[], Waiting]) -> AsyncIterator[Streams]:
    """Start the program; at the end it is gone, with everything that it has started.

    `waiting` tells which requests have no answer yet.
    """
    assert server.command is not None, "a server has a url or a command"
    process = await anyio.open_process(
        [server.command, *server.args],
        env=get_default_environment() | _child_environment(server.env),
        cwd=server.cwd,
        start_new_session=True,
    )
    to_session, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    dialogue = _Dialogue(server.name, to_session, waiting)
    async with anyio.create_task_group() as tasks, process, to_session, from_server, to_server, from_session:
        tasks.start_soon(dialogue.listen, process)
        tasks.start_soon(dialogue.speak, from_session, process)
        tasks.start_soon(_log_words, server.name, process, mask)
        try:
            yield from_server, to_server
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)
            tasks.cancel_scope.cancel()


class _Dialogue:
    """What goes to the program, and what comes back.

    A line that is no message is ignored, as programs print all sorts of things, unless it can only be the answer
    to one call: that call then fails at once.
    """

    def __init__(
        self,
        name: str,
        to_session: MemoryObjectSendStream[SessionMessage | Exception],
        waiting: Callable[[], Waiting],
    ) -> None:
        self._name = name
        self._to_session = to_session
        self._waiting = waiting
        self._latest = -1
        self._ignored = 0

    async def speak(self, from_session: MemoryObjectReceiveStream[SessionMessage], process: Process) -> None:
        assert process.stdin is not None
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for sent in from_session:
                if isinstance(sent.message.root, JSONRPCRequest):
                    self._latest = int(sent.message.root.id)
                line = sent.message.model_dump_json(by_alias=True, exclude_none=True)
                await process.stdin.send(line.encode() + b"\n")

    async def listen(self, process: Process) -> None:
        assert process.stdout is not None
        lines = LineReader(LONGEST_LINE)
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async with self._to_session:
                async for chunk in process.stdout:
                    for line in lines.feed(chunk):
                        for message in self._read(line, too_long=lines.too_long):
                            await self._to_session.send(SessionMessage(JSONRPCMessage.model_validate(message)))
        if self._ignored > 1:
            logger.warning("MCP lines ignored server=%s lines=%d", self._name, self._ignored)

    def _read(self, line: bytes, *, too_long: bool) -> Iterator[dict[str, Any]]:
        if too_long:
            yield from self._broken(line, f"it is longer than {LONGEST_LINE} bytes")
            return
        try:
            messages = messages_in(line)
        except Unreadable as error:
            yield from self._broken(line, error)
            return
        for message in messages:
            if is_answer(message):
                yield from self._answer(message)
            elif is_known(message):
                yield message

    def _answer(self, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        calls, only_one = self._waiting()
        waiting = {str(call): call for call in calls}
        given = str(message.get("id"))
        late = given.isdecimal() and int(given) <= self._latest
        call = waiting.get(given, None if late else only_one)
        if call is None:
            return  # nobody waits for it any more, or nobody can tell who does
        try:
            yield answer_of(message, call)
        except Unreadable as error:
            yield unreadable(call, error)

    def _broken(self, line: bytes, reason: object) -> Iterator[dict[str, Any]]:
        calls, only_one = self._waiting()
        waiting = {str(call): call for call in calls}
        ids = ids_in_broken(line)
        if ids is None:
            self._ignore(line)
            return
        meant = [waiting[given] for given in ids if given in waiting]
        call = meant[0] if meant else only_one
        if call is not None:
            yield unreadable(call, reason)

    def _ignore(self, line: bytes) -> None:
        self._ignored += bool(line.strip())
        if self._ignored == 1:
            logger.warning("MCP line ignored server=%s", self._name)


async def _log_words(name: str, process: Process, mask: Mask) -> None:
    """Log what the program says on stderr: each line is one event of ours, and a flood of them is cut."""
    assert process.stderr is not None
    lines, clock = LineReader(_LONGEST_WORDS), asyncio.get_running_loop().time
    began_at, said = clock(), 0
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async for chunk in process.stderr:
            for line in lines.feed(chunk):
                if clock() - began_at > _WORDS_SECONDS:
                    if said > _MOST_WORDS:
                        logger.warning("MCP server stderr cut server=%s lines=%d", name, said - _MOST_WORDS)
                    began_at, said = clock(), 0
                said += 1
                if said <= _MOST_WORDS and (words := line.decode("utf-8", "replace").strip()):
                    logger.info("MCP server stderr server=%s: %s", name, mask(words))
                elif said == _MOST_WORDS + 1:
                    logger.warning("MCP server stderr muted for a minute server=%s", name)


async def _end(process: Process) -> None:
    """Close the program's stdin, which tells it to end, and make it end where it does not."""
    assert process.stdin is not None
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        await process.stdin.aclose()
    try:
        with anyio.fail_after(_GOODBYE_SECONDS):
            await process.wait()
    except TimeoutError:
        await terminate_posix_process_tree(process, _GOODBYE_SECONDS)


def _child_environment(given: Mapping[str, str]) -> dict[str, str]:
    """`python` means the interpreter that we run in ourselves, whether or not its venv is activated."""
    own = str(Path(sys.executable).parent)
    return {"PATH": os.pathsep.join([own, os.environ.get("PATH", os.defpath)]), **given}
