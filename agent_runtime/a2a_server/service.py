"""The A2A side of an agent as one thing: opened once, closed once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

from agent_runtime.a2a_server import store
from agent_runtime.a2a_server.card import build_card
from agent_runtime.a2a_server.decisions import Decisions
from agent_runtime.a2a_server.feed import task_feed
from agent_runtime.a2a_server.handler import A2AHandler, Takes, TurnEngine
from agent_runtime.a2a_server.live_tasks import LiveTasks
from agent_runtime.a2a_server.push import PushPolicy, PushSender, open_push_sender
from agent_runtime.a2a_server.recorder import TaskRecorder
from agent_runtime.a2a_server.routes import add_a2a_routes
from agent_runtime.graph.inputs import MESSAGES_ONLY, GraphInput
from agent_runtime.live_settings.card_url import CardUrl, hosts_of_callers
from agent_runtime.project.file import Project
from agent_runtime.settings import AgentSettings
from groundwork.http.known_tokens import KnownTokens
from groundwork.http.load import Load
from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection
from groundwork.process.background import running

logger = logging.getLogger(__name__)

_PRUNE_SECONDS = 60.0


class A2AServer:
    """What A2A needs beside the turns. `recorder` is what the turn engine writes to."""

    def __init__(
        self,
        settings: AgentSettings,
        project: Project,
        pool: Pool,
        card_url: CardUrl,
        pushes: PushSender,
        callers: KnownTokens,
    ) -> None:
        self._callers = callers
        self._settings = settings
        self._project = project
        self._pool = pool
        self._card_url = card_url
        self._pushes = pushes
        self._live_tasks = LiveTasks()
        self._handler: A2AHandler | None = None
        self._decisions: Decisions | None = None
        self.load = Load(settings.max_requests, pool)
        self.feed = task_feed(pool, self._live_tasks.runs_here)
        self.recorder = TaskRecorder(self._live_tasks, self.feed, pushes)

    def serve(
        self,
        engine: TurnEngine,
        takes: Takes | None = None,
    ) -> None:
        """Says which engine runs the turns, and what its graphs take, by default messages; `add_routes` needs to
        know."""
        self._decisions = Decisions(self._pool, self._settings.agent_id or "", engine)
        self._handler = A2AHandler(
            self._pool,
            self._settings.agent_id or "",
            engine,
            self.recorder,
            self._live_tasks,
            self.feed,
            self._pushes.policy,
            self.load,
            takes or _takes_messages,
        )

    @property
    def decisions(self) -> Decisions:
        """The questions of all callers, for operators. Raises `RuntimeError` before `serve`."""
        if self._decisions is None:
            raise RuntimeError("serve(engine) comes first: there is nobody yet to take answers")
        return self._decisions

    def add_routes(self, app: FastAPI) -> None:
        """Adds JSON-RPC, HTTP+JSON and the card to `app`. Raises `RuntimeError` before `serve`."""
        if self._handler is None:
            raise RuntimeError("serve(engine) comes first: there is nobody yet to run turns")
        add_a2a_routes(
            app,
            self._handler,
            build_card(self._project.card, self._card_url.url, bearer=bool(self._callers)),
            current_url=lambda: self._card_url.url,
            callers=self._callers,
            own_hosts=hosts_of_callers(self._settings, lambda: self._card_url.url),
            max_body_bytes=self._settings.a2a_max_body_bytes,
            shutdown_grace_seconds=self._settings.shutdown_grace_seconds,
        )

    def turn_lost(self, task_id: str) -> None:
        """The task's turn is no longer run in this process; those who follow it here look elsewhere."""
        self.recorder.lost(task_id)


@asynccontextmanager
async def open_a2a_server(
    settings: AgentSettings,
    project: Project,
    pool: Pool,
    card_url: CardUrl,
    callers: KnownTokens | None = None,
) -> AsyncIterator[A2AServer]:
    """Opens the A2A side, for `callers` or those of the settings. At the end followers are let go, and waiting
    notifications get a moment.

    Open it before the turn engine and close it after: turns that end while the engine drains are announced.
    """
    policy = PushPolicy(deny_private_networks=settings.deny_private_networks)
    async with open_push_sender(pool, policy) as pushes:
        known = KnownTokens(settings.a2a_callers) if callers is None else callers
        server = A2AServer(settings, project, pool, card_url, pushes, known)
        async with running("a2a-feed", server.feed.poll), running("a2a-tidy", partial(_prune, pool)):
            try:
                yield server
            finally:
                server.feed.close()


async def _takes_messages(thread_id: str) -> tuple[GraphInput, Callable[[Mapping[str, Any]], None]]:
    return MESSAGES_ONLY, lambda metadata: None


async def _prune(pool: Pool) -> None:
    """The loop that removes events which every follower has had time to read."""
    while True:
        await asyncio.sleep(_PRUNE_SECONDS)
        try:
            async with connection(pool) as conn:
                await store.prune_events(conn)
        except DatabaseUnavailable as error:
            logger.warning("purging task events failed: %s", error)
