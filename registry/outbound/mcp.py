"""Tools of MCP servers: a session for each call, so that none is ever out of date."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from mcp import McpError
from mcp.types import ContentBlock, EmbeddedResource, ImageContent, TextContent, Tool

from groundwork.outgoing.bounded_http import OpenTransport
from groundwork.outgoing.fetch import FetchFailed, OutgoingPolicy, check_address_allowed
from groundwork.outgoing.masking import Mask
from groundwork.outgoing.mcp_results import ToolResult, text_in, unsaid
from groundwork.outgoing.mcp_server import McpServer
from groundwork.outgoing.mcp_session import (
    CallFailed,
    CallRefused,
    McpSession,
    NotCarriedOut,
    explain,
    may_be_repeated,
    open_session,
)
from groundwork.postgres.storable import storable
from registry.outbound.answers import read_text
from registry.outbound.failures import OutboundFailed, fetch_failed

_OPEN_SECONDS = 30.0


class McpTools:
    def __init__(self, policy: OutgoingPolicy, open_transport: OpenTransport | None) -> None:
        self._policy = policy
        self._open_transport = open_transport

    async def call(
        self,
        server: McpServer,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        mask: Mask,
        seconds: float,
        interrupted: bool,
    ) -> Any:
        """What the tool gives. Raises `OutboundFailed`.

        A call whose outcome is unknown is not to be repeated, unless the tool says that this does no harm;
        `interrupted` says that there was such a call before, by a worker that died.
        """
        if server.url is not None:
            try:
                await check_address_allowed(server.url, self._policy)
            except FetchFailed as error:
                raise fetch_failed(error) from error
        call = _Call(server.name, tool, mask, interrupted)
        holding = asyncio.create_task(
            self._hold(server, call, dict(arguments), seconds), name=f"mcp {server.name}"
        )
        try:
            # In a task of its own, because the library cancels the one that opened a session when that breaks.
            await asyncio.wait({holding})
        finally:
            holding.cancel()
            await asyncio.wait({holding})
        lost = ConnectionError("the connection was lost") if holding.cancelled() else holding.exception()
        if lost is not None:
            call.lost(lost)
        return call.outcome()

    async def _hold(self, server: McpServer, call: "_Call", arguments: dict[str, Any], seconds: float) -> None:
        opened = open_session(
            server,
            open_seconds=min(seconds, _OPEN_SECONDS),
            call_seconds=seconds,
            open_transport=self._open_transport,
            mask=call.mask,
        )
        async with asyncio.timeout(seconds), opened as session:
            await call.make(session, arguments, seconds)


class _Call:
    """One call, and how far it has come."""

    def __init__(self, server: str, tool: str, mask: Mask, interrupted: bool) -> None:
        self._server = server
        self._tool = tool
        self.mask = mask
        self._interrupted = interrupted
        self._sent: Tool | None = None
        self._result: ToolResult | None = None
        self._error: BaseException | None = None

    async def make(self, session: McpSession, arguments: dict[str, Any], seconds: float) -> None:
        """Raises nothing that is about the call: the library would wrap it beyond recognition."""
        try:
            tool = await self._find(session, seconds)
            self._sent = tool
            self._result = await session.call(self._tool, arguments, seconds)
        except (OutboundFailed, CallFailed, McpError) as error:
            self._error = error

    async def _find(self, session: McpSession, seconds: float) -> Tool:
        listing = await session.list_tools(seconds, for_model=False)
        tool = next((tool for tool in listing.tools if tool.name == self._tool), None)
        if tool is None and self._tool in listing.left_out:
            raise OutboundFailed(f"{self._server}: {self._tool} cannot be called: {listing.left_out[self._tool]}")
        if tool is None:
            raise OutboundFailed(f"{self._server} has no tool {self._tool}")
        if self._interrupted and not may_be_repeated(tool):
            raise OutboundFailed(
                f"a worker was lost while it called {self._tool}: whether that had its effect is not known, so it"
                " was not called again"
            )
        return tool

    def lost(self, error: BaseException) -> None:
        """The session ended badly, which matters only when the call has not ended before."""
        if self._result is None and self._error is None:
            self._error = error

    def outcome(self) -> Any:
        """Raises `OutboundFailed`."""
        if isinstance(self._error, OutboundFailed):
            raise self._error
        if self._error is not None:
            raise self._failure(self._error) from self._error
        assert self._result is not None, "a call ends with a result or an error"
        return self._read(self._result)

    def _read(self, result: ToolResult) -> Any:
        content = [_block(block) for block in result.blocks]
        if result.failed:
            more = unsaid(result)
            words = [item if isinstance(item, str) else json.dumps(item) for item in content]
            said = " ".join([*words, *([] if more is None else [json.dumps(more, ensure_ascii=False)])])
            raise OutboundFailed(self.mask.error(RuntimeError(f"{self._tool} failed: {storable(said)}")))
        if result.structured is not None:
            return storable(result.structured)
        if len(content) == 1:
            return storable(read_text(content[0]) if isinstance(content[0], str) else content[0])
        return storable(content) if content else None

    def _failure(self, error: BaseException) -> OutboundFailed:
        cause = _cause(error)
        reason = storable(self.mask.error(cause))
        refused = isinstance(cause, CallRefused | FileNotFoundError | PermissionError)
        if self._sent is None or isinstance(cause, NotCarriedOut):
            return OutboundFailed(
                f"{self._server} cannot be used: {reason}", retryable=not refused, kind="io_error"
            )
        if refused:
            return OutboundFailed(f"{self._server}: {reason}")
        if may_be_repeated(self._sent):
            return OutboundFailed(f"no answer from {self._server}: {reason}", retryable=True, kind="io_error")
        return OutboundFailed(
            f"no answer from {self._server} ({reason}): whether {self._tool} had its effect is not known, so it"
            " was not called again",
            kind="io_error",
        )


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return explain(error) if isinstance(error, McpError) else error


def _block(block: ContentBlock) -> Any:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, ImageContent):
        return {"type": "image", "data": block.data, "mime_type": block.mimeType}
    if isinstance(block, EmbeddedResource) and (text := text_in(block.resource)) is not None:
        found = block.resource
        return {"type": "resource", "uri": str(found.uri), "text": text, "mime_type": found.mimeType}
    return block.model_dump(mode="json", exclude_none=True)
