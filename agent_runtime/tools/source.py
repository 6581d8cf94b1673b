"""What an MCP server and a peer have in common: something outside that brings tools while it is there."""

from abc import ABC, abstractmethod
from typing import Any

from langchain_core.tools import BaseTool


class Source(ABC):
    """`tools` is another tuple whenever they come, change or go; one that was read stays as it is."""

    name: str
    tools: tuple[BaseTool, ...] = ()

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """How it is, as `/status` shows it; without secrets."""

    @abstractmethod
    async def settled(self) -> None:
        """Returns when the first attempt to connect is over."""

    @abstractmethod
    async def run(self) -> None:
        """Keeps it connected until it is cancelled; what is open is then closed."""
