"""Where an agent's data is. Quick to import: the server from the wheel starts while everything else is loaded."""

from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from agent_runtime.settings import AgentSettings
from groundwork.postgres.dsn import describe
from groundwork.postgres.embedded import EmbeddedPostgresFailed, open_embedded, open_throwaway

EMBEDDED_DATA = Path(".data/postgres")


REMEDY = "`agent-runtime serve` and `agent-runtime migrate` make an agent's database ready, and nothing else does"


def open_database(
    settings: AgentSettings, directory: Path, *, makes_it: bool = True
) -> AbstractAsyncContextManager[str]:
    """The DSN of the agent's database, for as long as the block runs; the embedded server lives with it.

    One that is not there is made, or else refused with `EmbeddedPostgresFailed`.
    """
    if settings.memory_backend == "memory":
        if not makes_it:
            raise EmbeddedPostgresFailed("MEMORY_BACKEND=memory: threads are in the agent's own process alone")
        return open_throwaway()
    if dsn := settings.postgres_dsn.get_secret_value():
        return nullcontext(dsn)
    return open_embedded(directory / EMBEDDED_DATA, remedy=None if makes_it else REMEDY)


def open_embedded_database(
    settings: AgentSettings, directory: Path, *, makes_it: bool = True
) -> AbstractAsyncContextManager[str]:
    """Return the embedded server alone, for commands that need its address. Raises `EmbeddedPostgresFailed`."""
    if settings.postgres_dsn.get_secret_value() or settings.memory_backend == "memory":
        raise EmbeddedPostgresFailed("there is no embedded PostgreSQL here: POSTGRES_DSN or MEMORY_BACKEND is set")
    return open_database(settings, directory, makes_it=makes_it)


def describe_database(settings: AgentSettings) -> str:
    """Where the data is, in words."""
    if settings.memory_backend == "memory":
        return "a temporary PostgreSQL, deleted at exit"
    dsn = settings.postgres_dsn.get_secret_value()
    return f"PostgreSQL at {describe(dsn)}" if dsn else f"embedded PostgreSQL in {EMBEDDED_DATA}"
