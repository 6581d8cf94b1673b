"""What the runtime gives the user's graph for one turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool

from agent_runtime.memory.config import LiveMemoryConfig, MemoryConfig
from agent_runtime.memory.window import build_prompt


@dataclass(frozen=True)
class TurnContext:
    """The turn a node runs in. Name it as the graph's `context_schema`, and read it from `runtime.context`.

    `message_id`, `context_id`, `task_id` and `caller` are A2A's names for what is being answered; `caller`
    is empty when callers are anonymous. `prompts` are those of `agent.toml`, by their names there. `tools` are
    those of its MCP servers and A2A peers that can be called now. What of all this comes from the registry stays
    as it was when the turn began. `summary` is what was folded out of the window in earlier turns.
    """

    thread_id: str
    task_id: str
    message_id: str
    caller: str
    agent_id: str | None
    model: BaseChatModel
    prompts: Mapping[str, str] = field(default_factory=dict)
    tools: tuple[BaseTool, ...] = ()
    summary: str | None = None
    memory: LiveMemoryConfig = field(default_factory=lambda: LiveMemoryConfig(MemoryConfig()))

    @property
    def context_id(self) -> str:
        """The thread id, under the name A2A has for it."""
        return self.thread_id

    def prompt(self, system: str, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """What to give the model: the system prompt, the summary if there is one, and the last
        `window_size` messages. The window's size is read at each call, so a change holds at once."""
        return build_prompt(system, self.summary, messages, self.memory.current.window_size)
