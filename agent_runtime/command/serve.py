"""`agent-runtime serve`: settings and a directory in, a running process out."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

from fastapi import APIRouter

from admin_api.router import admin_router
from agent_runtime.app import create_admin_app, create_app
from agent_runtime.project.file import Project
from agent_runtime.runtime import AgentRuntime, open_runtime
from agent_runtime.settings import AgentSettings
from groundwork.http.load import Load
from groundwork.http.serving import Listener, bind, serve, url_of
from groundwork.process.background import running
from groundwork.process.settings import near_misses, secrets_in
from groundwork.telemetry.logs import configure_logging
from groundwork.telemetry.tracing import open_tracing

if TYPE_CHECKING:
    from agent_runtime.command.dev import DevMode

logger = logging.getLogger(__name__)


async def serve_agent(
    settings: AgentSettings,
    project: Project,
    *,
    env_file: Path | None = None,
    migrate: bool = True,
    database: Awaitable[str] | None = None,
    read_settings: Callable[[], AgentSettings] | None = None,
    reloads: bool = False,
) -> None:
    """Serve the project until a signal; a changed card URL is written to `env_file`. `database` and
    `read_settings` are those of `open_runtime`; at SIGHUP tokens are read again. With `reloads` the project is
    being written: code is reloaded when it is saved, and turns are shown.

    Raises what makes a start impossible: `AddressInUse`, and what `open_runtime` raises.
    """
    given, settings = settings, settings.named_after(project.directory)
    configure_logging(
        settings.log_level,
        settings.log_format,
        [*settings.secrets, *project.secrets, *secrets_in(os.environ)],
        shown_to=project.directory if reloads else None,
    )
    dev = _dev_mode(project) if reloads else None
    for line in near_misses(AgentSettings):
        logger.warning("%s", line)
    for note in project.notes:
        logger.warning("project setting ignored file=%s: %s", project.source, note)
    with ExitStack() as bound:
        agent_socket = admin_socket = bound.enter_context(bind(settings.host, settings.port))
        if settings.admin_has_own_listener:
            admin_socket = bound.enter_context(bind(*settings.admin_address))
        public_url = settings.public_agent_url or url_of(agent_socket)
        async with (
            open_tracing(settings.agent_id or project.card.name),
            open_runtime(
                settings,
                project,
                public_url=public_url,
                admin_url=_admin_url(settings, public_url, admin_socket),
                env_file=env_file,
                migrate=migrate,
                database=database,
                read_settings=read_settings,
                observer=dev,
            ) as runtime,
            running("announce-registry", partial(_announce_registry, runtime)),
            running("reload", partial(dev.watch, runtime.graphs)) if dev else nullcontext(),
        ):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, runtime.secrets.read_again)
            _announce(runtime, given, agent_socket, admin_socket)
            listeners = _listeners(runtime, agent_socket, admin_socket)
            await serve(listeners, settings.shutdown_grace_seconds, runtime.begin_stop)


def _dev_mode(project: Project) -> "DevMode":
    from agent_runtime.command.dev import DevMode  # watchfiles is of no use where nothing changes

    return DevMode(project)


def _listeners(runtime: AgentRuntime, agent_socket: socket, admin_socket: socket) -> list[Listener]:
    if agent_socket is admin_socket:
        return [Listener(create_app(runtime, [_admin(runtime)]), agent_socket)]
    admin = Listener(create_admin_app(runtime, [_admin(runtime)]), admin_socket)
    return [Listener(create_app(runtime), agent_socket), admin]


def _admin_url(settings: AgentSettings, public_url: str, admin_socket: socket) -> str:
    """Return where the registry reaches the admin API: where the agent is, unless it has a listener of its own."""
    own = url_of(admin_socket) if settings.admin_has_own_listener else public_url
    return (settings.admin_url or own).rstrip("/")


def _admin(runtime: AgentRuntime) -> APIRouter:
    settings = runtime.settings
    load = Load(settings.max_requests, runtime.pool)
    runtime.metrics.watch_refusals("admin", lambda: load.refused)
    return admin_router(
        runtime,
        token=runtime.secrets.admin,
        allowed_hosts=[*settings.admin_allowed_hosts, settings.admin_address[0]],
        max_body_bytes=settings.admin_max_body_bytes,
        load=load,
        trust=runtime.registry_trust,
    )


def _announce(runtime: AgentRuntime, given: AgentSettings, agent: socket, admin: socket) -> None:
    name = runtime.agent_id or "(AGENT_ID is empty: conversations are not kept)"
    if runtime.agent_id != given.agent_id:
        name = f"{name} (the directory's name: AGENT_ID is not set)"
    logger.info("agent      %s", name)
    logger.info("card       %s, advertised as %s", url_of(agent), runtime.card_url.url)
    logger.info("admin API  %s/api/v1/status", url_of(admin))
    logger.info("data       %s", runtime.database)
    logger.info("model      %s", runtime.settings.model or "built-in offline model (AGENT_MODEL is not set)")


async def _announce_registry(runtime: AgentRuntime) -> None:
    """The last line of the announcement; beside the serving, which does not wait for a registry."""
    if runtime.registry is None:
        logger.info("registry   none (REGISTRY_URL is not set)")
    else:
        outcome = await runtime.registry.reached(within_seconds=3)
        logger.info("registry   %s (%s)", runtime.registry.url, outcome)
