"""A fixture that serves the graph of a stranger, given as source text."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.agents import Agent
from tests.strangers.serving import Serve, serving


@pytest.fixture
async def serve(tmp_path: Path, database_url: str) -> AsyncIterator[Serve]:
    """Serves graphs until the test ends: `agent = await serve(SOURCE)`. `extra` is added to `agent.toml`; the
    other arguments are settings by their names in `AgentSettings`."""
    async with AsyncExitStack() as stack:

        async def start(source: str, *, extra: str = "", **settings: Any) -> Agent:
            return await stack.enter_async_context(
                serving(tmp_path, database_url, source, extra=extra, **settings)
            )

        yield start
