"""Nodes that call a tool of an MCP server."""

from collections.abc import Mapping
from typing import Any

from groundwork.outgoing.masking import Mask
from groundwork.outgoing.mcp_server import McpServer
from groundwork.telemetry import genai
from groundwork.telemetry.tracing import spanned
from registry.engine.executors.outputs import patch_of, seconds_for
from registry.engine.mapping import resolve
from registry.engine.visits import Visit, kind_of
from registry.executions.events import Completed, Event, Outcome
from registry.outbound.clients import OutboundClients
from registry.outbound.failures import OutboundFailed
from registry.workflows.kinds import McpTool

_CALL_SECONDS = 60.0


async def mcp_tool(visit: Visit, outbound: OutboundClients) -> Outcome:
    """What the tool gives goes to the key that the node names, else to `last_tool_output`."""
    kind = kind_of(visit, McpTool)
    arguments = resolve(kind.input_mapping, visit.scope, visit.budget)
    try:
        output = await call_mcp_tool(visit, outbound, kind.server, kind.tool, arguments)
    except OutboundFailed as error:
        return error.outcome()
    called = Event("tool_call_completed", visit.node.node_id, {"tool": kind.tool, "server": kind.server})
    return Completed(output, patch_of(output, kind.output_schema, "last_tool_output"), events=[called])


async def call_mcp_tool(
    visit: Visit, outbound: OutboundClients, server: str, tool: str, arguments: Mapping[str, Any]
) -> Any:
    """`server` is one of the workflow's. Raises `OutboundFailed`."""
    found, mask = await _server(visit, outbound, server)
    tools = await outbound.mcp()
    seconds = seconds_for(visit, _CALL_SECONDS)
    call = tools.call(found, tool, arguments, mask=mask, seconds=seconds, interrupted=visit.interrupted)
    attributes = {"server": server, **genai.tool_call(tool), **genai.server_of(found.url)}
    return await spanned(f"tool {tool}", call, attributes, client=True)


async def _server(visit: Visit, outbound: OutboundClients, name: str) -> tuple[McpServer, Mask]:
    spec = visit.execution.workflow.mcp_servers.get(name)
    if spec is None:
        raise OutboundFailed(f"there is no server {name!r} in the workflow's mcp_servers")
    if spec.transport == "web_socket":
        raise OutboundFailed(f"the MCP server {name} is reached by web_socket, which cannot be used; http_sse can")
    if spec.transport == "stdio":
        if not outbound.allows_commands:
            raise OutboundFailed(
                f"the MCP server {name} is a command, and workflows may not start programs here: set"
                " JAMJET_ALLOW_STDIO_MCP=true where the worker runs to let them"
            )
        return McpServer(name, command=spec.command, args=spec.args), Mask()
    assert spec.url is not None
    credentials = await outbound.secrets.credentials(spec.auth, spec.url, visit.execution.tenant_id)
    return McpServer(name, url=spec.url, headers=credentials.headers), credentials.mask
