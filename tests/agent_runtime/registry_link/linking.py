"""Agents' links to a registry, without the agents."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent_runtime.live_settings.card_url import CardUrl
from agent_runtime.metrics import AgentMetrics
from agent_runtime.project.file import CardSpec, Project, Skill
from agent_runtime.registry_link.client import open_registry_client
from agent_runtime.registry_link.link import RegistryLink, open_registry_link
from agent_runtime.settings import AgentSettings

SPEC = CardSpec("Test agent", "Made for one test.", skills=(Skill("chat", "Chat", "Talks.", ("talk",)),))
HOME = "http://agent.test"


async def healthy() -> None:
    pass


@asynccontextmanager
async def linked(
    registry_url: str,
    *,
    agent_id: str | None = "my-agent",
    card_url: CardUrl | None = None,
    check_ready: Callable[[], Awaitable[None]] = healthy,
    metrics: AgentMetrics | None = None,
    heartbeat: float = 0.1,
    **settings: Any,
) -> AsyncIterator[RegistryLink]:
    """A link as `open_runtime` opens it; `settings` are those of the agent."""
    given = AgentSettings(
        _env_file=None,
        agent_id=agent_id,
        registry_url=registry_url,
        registry_heartbeat_seconds=heartbeat,
        **settings,
    )
    async with (
        open_registry_client(given) as client,
        open_registry_link(
            given,
            Project(Path(), "graph:graph", SPEC),
            client,
            components=NoNews(),
            card_url=card_url or CardUrl(HOME, None),
            check_ready=check_ready,
            metrics=metrics or AgentMetrics(),
        ) as opened,
    ):
        assert opened is not None
        yield opened


class NoNews:
    """An agent that takes no components from its registry."""

    def __init__(self) -> None:
        self.on_change: list[Callable[[], None]] = []

    def told(self, generation: int) -> None:
        pass

    def metadata(self) -> dict[str, Any]:
        return {"generation": 1, "refs": []}
