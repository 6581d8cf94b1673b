"""From what a component is to what turns use: a model, a template, a connection."""

import asyncio
from collections.abc import Callable, Iterable

from agent_runtime.components.contents import ComponentUnusable
from agent_runtime.components.snapshot import Part
from agent_runtime.errors import BadProject
from agent_runtime.graph.model import build_model
from agent_runtime.project.slots import Model, Prompt, Spec
from agent_runtime.tools.connections import Connections
from agent_runtime.tools.source import Source
from groundwork.outgoing.masking import Mask

PROBE_SECONDS = 10.0
"""How long a server or peer may take to answer before its new version is given up, until the next attempt."""


class Parts:
    """Makes parts, and unmakes them. `hide` is told the secrets of each before anything is done with it."""

    def __init__(self, connections: Connections, hide: Callable[[Iterable[str]], None]) -> None:
        self._connections = connections
        self._hide = hide

    async def make(self, spec: Spec, secrets: Iterable[str]) -> Part:
        """Begins to connect, if there is something to connect to. Raises `ComponentUnusable`."""
        secrets = tuple(secrets)
        self._hide(secrets)
        match spec:
            case Model():
                return await self._model(spec, Mask(secrets))
            case Prompt():
                return spec.template
        return self._connections.open(spec, secrets)

    async def make_proved(self, spec: Spec, secrets: Iterable[str]) -> Part:
        """As `make`, and what it makes has been seen to work: an MCP server has listed its tools, a peer has shown
        its card. Raises `ComponentUnusable`; then nothing is left open."""
        part = await self.make(spec, secrets)
        if not isinstance(part, Source):
            return part
        try:
            problem = await self._connections.reached(part, PROBE_SECONDS)
        except asyncio.CancelledError:
            self.unmake(part)
            raise
        if problem is not None:
            self.unmake(part)
            raise ComponentUnusable(problem)
        return part

    def unmake(self, part: Part | None) -> None:
        if isinstance(part, Source):
            self._connections.close(part)

    async def _model(self, model: Model, mask: Mask) -> Part:
        parameters = dict(model.parameters)
        base_url = parameters.pop("base_url", "")
        try:
            # In a thread, because the first model of a provider takes a second to import.
            return await asyncio.to_thread(build_model, model.spec, str(base_url), **parameters)
        except BadProject as error:
            raise ComponentUnusable(str(error)) from error
        except Exception as error:  # whatever the package of a provider raises for its parameters
            raise ComponentUnusable(f"AGENT_MODEL={model.spec!r}: {mask.error(error)}") from error
