"""An MCP server whose one tool is described by a number: that of the header `X-Number`, or of its own start.

python -m benchmarks.numbered_server PORT       # over HTTP, with a header for each client
python -m benchmarks.numbered_server stdio 7    # for one client
"""

import sys
from typing import Any

from mcp.server.fastmcp import FastMCP
from mcp.types import Tool


class NumberedServer(FastMCP[Any]):
    def __init__(self, number: str = "", port: int = 0) -> None:
        self._number = number
        super().__init__("numbered", host="127.0.0.1", port=port, log_level="CRITICAL")

    async def list_tools(self) -> list[Tool]:
        request = self.get_context().request_context.request
        number = self._number or str(request.headers["X-Number"] if request is not None else "")
        return [Tool(name="number", description=number, inputSchema={"type": "object"})]


def main(where: str, number: str = "") -> None:
    if where == "stdio":
        NumberedServer(number).run(transport="stdio")
    else:
        NumberedServer(port=int(where)).run(transport="streamable-http")


if __name__ == "__main__":
    main(*sys.argv[1:])
