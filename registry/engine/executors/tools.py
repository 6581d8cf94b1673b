"""Nodes that use one of the workflow's tools."""

from collections.abc import Mapping
from typing import Any

from groundwork.telemetry.genai import tool_call
from groundwork.telemetry.tracing import spanned
from registry.engine.executors.mcp import call_mcp_tool
from registry.engine.executors.outputs import patch_of, seconds_for
from registry.engine.executors.work import offer, taken_back
from registry.engine.mapping import resolve
from registry.engine.visits import Visit, kind_of
from registry.executions.events import Completed, Event, Failed, Outcome
from registry.outbound.clients import OutboundClients
from registry.outbound.failures import OutboundFailed
from registry.workflows.kinds import Finalizer, Tool
from registry.workflows.parts import split_function
from registry.workflows.specs import ToolSpec

_CALL_SECONDS = 60.0


async def tool(visit: Visit, outbound: OutboundClients) -> Outcome:
    """A function is called by a worker outside the registry, with the whole state when the node says nothing else;
    what it returns becomes part of the state, and so does a JSON object that an HTTP tool answers.

    When the node's `output_schema` is a plain identifier, the answer goes to that key instead; an answer that is
    no object, or comes from an MCP server, goes to `last_tool_output` otherwise.
    """
    kind = kind_of(visit, Tool)
    return await _use(
        visit, outbound, kind.tool_ref, resolve(kind.input_mapping, visit.scope, visit.budget), kind.output_schema
    )


async def finalizer(visit: Visit, outbound: OutboundClients) -> Outcome:
    """As `tool`; what it is given is the whole state. One for failures does nothing where all goes well."""
    kind = kind_of(visit, Finalizer)
    if kind.run_on == "failure" and visit.ended is None:
        return Completed()
    return await _use(visit, outbound, kind.tool_ref, dict(visit.state), "")


async def _use(
    visit: Visit, outbound: OutboundClients, name: str, given: Mapping[str, Any], output_schema: str
) -> Outcome:
    spec = visit.execution.workflow.tools.get(name)
    if spec is None:
        return Failed(f"there is no tool {name!r} in the workflow's tools")
    called = Event("tool_call_completed", visit.node.node_id, {"tool": name, "kind": spec.kind})
    try:
        match spec.kind:
            case "python":
                return _by_a_worker(visit, spec, given, called)
            case "http":
                call = outbound.http.call(
                    spec.reference,
                    given,
                    idempotency_key=visit.idempotency_key,
                    seconds=seconds_for(visit, _CALL_SECONDS),
                )
                output = await spanned(f"tool {name}", call, tool_call(name), client=True)
                merged = isinstance(output, dict) and not output_schema.isidentifier()
            case "mcp":
                output, merged = await _by_mcp(visit, outbound, name, spec, given), False
            case _:
                return Failed(f"the tool {name!r} has no kind that can be run: python, http and mcp can")
    except OutboundFailed as error:
        return error.outcome()
    patch = output if merged else patch_of(output, output_schema, "last_tool_output")
    return Completed(output, patch, events=[called])


def _by_a_worker(visit: Visit, spec: ToolSpec, given: Mapping[str, Any], called: Event) -> Outcome:
    if visit.wake is None:
        module, function = split_function(spec.reference)
        return offer(visit, "python_tool", {"module": module, "function": function}, given or dict(visit.state))
    outcome = taken_back(visit)
    if isinstance(outcome, Completed):
        return Completed(outcome.output, outcome.patch, events=[called], recorded=True)
    return outcome


async def _by_mcp(
    visit: Visit, outbound: OutboundClients, name: str, spec: ToolSpec, given: Mapping[str, Any]
) -> Any:
    """The reference is a server of the workflow's with its tool, `wiki/search`, or the server alone."""
    server, _, tool_name = spec.reference.partition("/")
    return await call_mcp_tool(visit, outbound, server, tool_name or name, given)
