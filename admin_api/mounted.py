"""An agent for hosts that run a compiled graph of their own, without our runtime."""

from dataclasses import dataclass, field

from agent_runtime.live_settings.card_url import CardUrl
from agent_runtime.live_settings.settings import OwnSettings
from agent_runtime.memory.config import LiveMemoryConfig, MemoryConfig
from agent_runtime.storage.service import Storage
from agent_runtime.threads.service import Threads
from agent_runtime.turn_records.service import TurnRecords
from groundwork.postgres.dsn import mask_password
from groundwork.postgres.pool import Pool


@dataclass(frozen=True)
class MountedAgent:
    """What `admin_router` needs of an agent whose graph the host runs.

    The host claims a thread before each run of its graph on it, `await agent.threads.claim(thread_id)`, and
    may read `agent.memory.current` and `agent.card_url.url` where it builds prompts and its card: these are
    what the admin API changes. `pool` is the one the graph's checkpointer uses, so its connections are
    autocommit and give rows as dicts.
    """

    agent_id: str
    pool: Pool
    memory: LiveMemoryConfig = field(default_factory=lambda: LiveMemoryConfig(MemoryConfig()))
    card_url: CardUrl = field(default_factory=lambda: CardUrl("http://127.0.0.1:8000", None))
    threads: Threads = field(init=False)
    turn_records: TurnRecords = field(init=False)
    storage: Storage = field(init=False)

    memory_enabled = True
    memory_backend = "postgres"
    runtime_control_enabled = False
    components = None
    decisions = None

    def __post_init__(self) -> None:
        threads = Threads(self.pool, self.agent_id, forget=lambda thread_ids: None)
        object.__setattr__(self, "threads", threads)
        object.__setattr__(self, "turn_records", TurnRecords(self.pool, self.agent_id))
        object.__setattr__(self, "storage", Storage(self.pool, self.agent_id))

    @property
    def live_settings(self) -> OwnSettings:
        return OwnSettings(self.memory, self.card_url)

    @property
    def postgres_dsn(self) -> str:
        """Masked; empty when the host's pool finds its address anew for each connection."""
        dsn = self.pool.conninfo
        return mask_password(dsn) if isinstance(dsn, str) else ""

    def connection_status(self) -> dict[str, dict[str, dict[str, object]]]:
        return {"mcp": {}, "a2a": {}}
