"""Places for components: what the project calls them, and where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agent_runtime.project.outbound import Peer
from agent_runtime.project.template import Template
from groundwork.outgoing.mcp_server import McpServer

Kind = Literal["model", "prompt", "mcp", "agent"]


@dataclass(frozen=True)
class Model:
    """A chat model as `provider:name`, empty for the offline one, and what else its class is given."""

    spec: str
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Prompt:
    template: Template


Spec = Model | Prompt | McpServer | Peer
"""What a component is, with the values of the environment in it, before anything is opened for it."""


@dataclass(frozen=True)
class Slot:
    """One place for a component. With a `component_id`, the registry says what stands there, and `local` is what
    does until it has said so. `token` goes to a peer wherever the registry says that it is; `timeout_seconds` is
    for a server or peer that the registry gives none."""

    kind: Kind
    name: str
    component_id: str | None = None
    local: Spec | None = None
    token: str | None = field(default=None, repr=False)
    timeout_seconds: float | None = None
