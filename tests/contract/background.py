"""An agent served beside the test, for callers that are not asynchronous, as hypothesis and schemathesis are."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.agents import CHAT, Agent, running_agent, write_project

Result = TypeVar("Result")


@dataclass(frozen=True)
class BackgroundAgent:
    """A served agent whose event loop runs in a thread of its own."""

    agent: Agent
    portal: BlockingPortal

    @property
    def url(self) -> str:
        return self.agent.url

    def wait_for(self, call: Callable[..., Coroutine[Any, Any, Result]], *args: object) -> Result:
        """The result of `call(*args)`, run where the agent runs."""
        result: Result = self.portal.call(call, *args)
        return result


@contextmanager
def background_agent(
    directory: Path, database_url: str, source: str = CHAT, **settings: Any
) -> Iterator[BackgroundAgent]:
    """Serves an agent with `source` as its graph and the offline model; see `running_agent`."""
    project = write_project(directory, source)
    (project / ".env").touch()
    served = running_agent(project, database_url, **settings)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(served) as agent:
        yield BackgroundAgent(agent, portal)


def some(examples: int) -> hypothesis_settings:
    """So many requests, the same ones in every run; how long one takes is the machine's business."""
    return hypothesis_settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
