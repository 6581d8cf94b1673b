"""Where an MCP server is, without the library that talks to it, which takes long to import."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class McpServer:
    """An MCP server: either at a `url` (streamable HTTP) or started as a `command` (stdio)."""

    name: str
    url: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: str | None = None
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    timeout_seconds: float | None = None
    """How long a call may take, beyond which only word of progress carries it."""
