"""`registry serve`: settings in, a running process out."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable

from groundwork.http.serving import Listener, bind, serve, until_signal, url_of
from groundwork.process.settings import BadSetting, load_settings, near_misses, secrets_in
from groundwork.process.shutdown import ShutdownPeriod
from groundwork.telemetry.logs import configure_logging, hide
from groundwork.telemetry.tracing import open_tracing
from registry.console import router as console
from registry.console.assets import load_templates
from registry.data import describe_database
from registry.database import check_database_ready, open_registry_pool
from registry.engine.worker import open_worker
from registry.http.app import create_app
from registry.outbound.secrets import AgentTokens
from registry.queue.jobs import Jobs
from registry.runtime import Registry, open_registry
from registry.settings import RegistrySettings

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 30.0
"""For how long a worker waits for a registry that starts at the same time and migrates."""


async def serve_registry(
    settings: RegistrySettings,
    *,
    migrate: bool = True,
    worker: bool = True,
    show_once: Callable[[str], None] | None = None,
    database: Awaitable[str] | None = None,
) -> None:
    """Serves until a signal, and runs executions unless `worker` is off. `show_once` is given the first operator's
    token, when there is no token yet; without it none is made. `database` is that of `open_registry_pool`.

    Raises what makes a start impossible: `AddressInUse`, and what `open_registry` raises.
    """
    _begin_logging(settings)
    with bind(settings.jamjet_bind, settings.jamjet_port) as listening:
        public_url = settings.jamjet_public_url or url_of(listening)
        # Beside the start of the database: compiled at first use, they would hold up everybody for a second.
        templates = asyncio.create_task(asyncio.to_thread(load_templates), name="compile-templates")
        async with (
            open_tracing("registry"),
            open_registry(
                settings,
                public_url=public_url,
                migrate=migrate,
                worker=worker,
                database=database,
                agent_tokens=_tokens_read_at_sighup(settings),
            ) as registry,
        ):
            _announce(registry, url_of(listening))
            await _see_that_somebody_gets_in(registry, show_once)
            await templates
            app = Listener(create_app(registry, [console.router]), listening)
            await serve([app], settings.shutdown_grace_seconds, registry.begin_to_stop)


async def work(settings: RegistrySettings, *, database: Awaitable[str] | None = None) -> None:
    """`registry worker`: runs executions until a signal, and serves nothing."""
    _begin_logging(settings)
    async with open_tracing("registry-worker"), open_registry_pool(settings, "worker", database) as pool:
        await check_database_ready(pool, settings, _PATIENCE_SECONDS)
        jobs, grace = Jobs(), ShutdownPeriod(settings.shutdown_grace_seconds)
        await jobs.open(pool)
        async with open_worker(settings, pool, jobs, grace, _tokens_read_at_sighup(settings)):
            logger.info("worker     takes executions, %d at a time", settings.jamjet_worker_concurrency)
            logger.info("data       %s", describe_database(settings))
            await until_signal(grace.begin)


def _tokens_read_at_sighup(settings: RegistrySettings) -> AgentTokens:
    """Return the tokens for agents, read again at each SIGHUP. Settings that cannot be read change nothing."""
    tokens = AgentTokens(settings.agent_tokens)

    def read_again() -> None:
        try:
            settings = load_settings(RegistrySettings)
        except BadSetting as error:
            logger.warning("rereading tokens failed: %s", error)
            return
        hide(settings.secrets)
        tokens.replace(settings.agent_tokens)
        logger.info("tokens reread")

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, read_again)
    return tokens


def _begin_logging(settings: RegistrySettings) -> None:
    configure_logging(settings.log_level, settings.log_format, [*settings.secrets, *secrets_in(os.environ)])
    for line in near_misses(RegistrySettings):
        logger.warning("%s", line)


def _announce(registry: Registry, address: str) -> None:
    logger.info("registry   %s, known to others as %s", address, registry.public_url)
    logger.info("data       %s", registry.database)
    if registry.settings.jamjet_dev_mode:
        logger.warning("access     developer mode: nobody is asked for a token")


async def _see_that_somebody_gets_in(registry: Registry, show_once: Callable[[str], None] | None) -> None:
    """The first token goes to a person alone, never to the log, which others read and which is kept."""
    if registry.settings.jamjet_dev_mode:
        return
    if show_once is None:
        if not await registry.tokens.is_any_there():
            logger.warning("access     no token yet: registry tokens create --role operator")
    elif created := await registry.tokens.create_first_token():
        show_once(
            "The first token, of an operator; it is not shown again. `registry tokens create` makes more.\n\n"
            f"    {created.plaintext}\n"
        )
