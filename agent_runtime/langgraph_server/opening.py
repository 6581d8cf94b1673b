"""The LangGraph side of an agent as one thing: opened once, closed once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import FastAPI
from langgraph.store.base import BaseStore
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute

from agent_runtime.langgraph_server import store
from agent_runtime.langgraph_server.assistants import Assistants
from agent_runtime.langgraph_server.commands import Commands
from agent_runtime.langgraph_server.edge import Bodies
from agent_runtime.langgraph_server.feed import run_feed
from agent_runtime.langgraph_server.recorder import RunRecorder, TaskAccount
from agent_runtime.langgraph_server.routes import Face
from agent_runtime.langgraph_server.run_routes import run_router
from agent_runtime.langgraph_server.service import Runs
from agent_runtime.langgraph_server.states import ThreadStates
from agent_runtime.langgraph_server.store_routes import store_router
from agent_runtime.langgraph_server.system_routes import assistant_router, system_router
from agent_runtime.langgraph_server.thread_routes import thread_router
from agent_runtime.langgraph_server.thread_stream_routes import thread_stream_router
from agent_runtime.langgraph_server.thread_streams import ThreadStreams
from agent_runtime.langgraph_server.thread_watch import ThreadWatch
from agent_runtime.langgraph_server.threads import CallersThreads
from agent_runtime.langgraph_server.webhooks import Webhooks, open_webhooks
from agent_runtime.live_settings.card_url import hosts_of_callers
from agent_runtime.project.graph import Graphs
from agent_runtime.settings import AgentSettings
from agent_runtime.threads.callers import list_temporary_threads
from agent_runtime.threads.service import Threads
from agent_runtime.turns.engine import Turns
from groundwork.http.deferred import DeferredRoutes
from groundwork.http.docs_page import HEADERS, docs_page
from groundwork.http.known_tokens import KnownTokens
from groundwork.http.load import Load
from groundwork.http.openapi import DocumentedApp, Schema
from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection
from groundwork.process.background import running
from groundwork.process.each_row import EachRow

logger = logging.getLogger(__name__)

DOCUMENT_PATH = "/langgraph/openapi.json"

DOCS_PATH = "/docs"

_DOCUMENTS = {
    "OpenAPI document of these routes": DOCUMENT_PATH,
    "OpenAPI document of the agent's other routes": "/openapi.json",
    "Agent card (A2A)": "/.well-known/agent-card.json",
}

_ROUTERS = (
    system_router,
    assistant_router,
    run_router,
    thread_router,
    thread_stream_router,
    store_router,
)
_BEGINNINGS = ("/ok", "/info", "/assistants", "/runs", "/threads", "/store")

_TIDY_SECONDS = 30.0


class LangGraphServer:
    """What LangGraph's clients need beside the turns. `recorder` is what the turn engine writes to."""

    def __init__(
        self,
        settings: AgentSettings,
        pool: Pool,
        tasks: TaskAccount,
        graphs: Graphs,
        callers: KnownTokens,
        current_url: Callable[[], str],
        webhooks: Webhooks,
    ) -> None:
        self._webhooks = webhooks
        self._current_url = current_url
        self._settings = settings
        self._pool = pool
        self._callers = callers
        self._assistants = Assistants(graphs, datetime.now(UTC))
        self.load = Load(settings.max_requests, pool)
        here: set[str] = set()
        self.feed = run_feed(pool, here.__contains__)
        self.recorder = RunRecorder(tasks, self.feed, here)
        self.watch = ThreadWatch(pool, settings.agent_id or "")
        self.recorder.accepted = self.watch.accepted
        self._face: Face | None = None

    def serve(self, turns: Turns, threads: Threads, store: BaseStore | None) -> None:
        """Says what runs the turns, what removes threads, and what graphs keep beyond them; `add_routes` needs to
        know."""
        settings, agent_id = self._settings, self._settings.agent_id or ""
        states = ThreadStates(self._pool, remembers=settings.memory_enabled and settings.agent_id is not None)
        self.recorder.let_go = turns.let_go
        runs = Runs(
            self._pool,
            agent_id,
            self._assistants,
            states,
            self.recorder,
            self.feed,
            turns,
            threads,
            self._webhooks,
        )
        directory = CallersThreads(self._pool, agent_id, self._assistants, states, self.recorder, runs, threads)
        self._face = Face(
            self._assistants,
            directory,
            runs,
            self._callers,
            self.load,
            Bodies(settings.a2a_max_body_bytes),
            hosts_of_callers(settings, self._current_url),
            store,
            ThreadStreams(self._pool, agent_id, self.feed, self.watch),
            Commands(runs, directory),
        )

    def close_streams(self) -> None:
        """Let go of everybody who follows a run or a thread."""
        self.feed.close()
        self.watch.close()

    def add_routes(self, app: FastAPI) -> None:
        """Adds the API to `app`. Raises `RuntimeError` before `serve`."""
        face = self._face
        if face is None:
            raise RuntimeError("serve(…) comes first: there is nobody yet to run turns")

        def make() -> list[BaseRoute]:
            return [route for router_of in _ROUTERS for route in router_of(face).routes]

        # It has a document of its own: errors and answers are of another form than the agent's others.
        deferred = DeferredRoutes(_BEGINNINGS, make)
        app.router.routes.append(deferred)
        described = DocumentedApp(title="LangGraph API", version=version("agent-sidecar"), enums={})

        def describe() -> Schema:
            described.router.routes = list(deferred.routes)
            return described.openapi()

        def show_document(request: Request) -> Response:
            return JSONResponse(describe())

        def show_page(request: Request) -> Response:
            page = docs_page("LangGraph API of this agent", describe(), _DOCUMENTS)
            return HTMLResponse(page, headers=HEADERS)

        app.add_route(DOCUMENT_PATH, show_document, include_in_schema=False)
        app.add_route(DOCS_PATH, show_page, include_in_schema=False)

    async def tidy(self, threads: Threads) -> None:
        """The loop that removes what finished runs have left: old frames, and threads that nobody waited for."""
        removing = EachRow("removing the thread of a finished run", logger)
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            try:
                async with connection(self._pool) as conn:
                    await store.prune_frames(conn)
                    left = await list_temporary_threads(conn, self._settings.agent_id or "")
            except DatabaseUnavailable as error:
                logger.warning("pruning frames of finished runs failed: %s", error)
                continue
            for thread_id in left:
                with removing.handling(thread_id, thread_id=thread_id):
                    await threads.delete_thread(thread_id)


@asynccontextmanager
async def open_langgraph_server(
    settings: AgentSettings,
    pool: Pool,
    tasks: TaskAccount,
    graphs: Graphs,
    callers: KnownTokens,
    current_url: Callable[[], str],
) -> AsyncIterator[LangGraphServer]:
    """Opens the LangGraph side. At the end followers are let go.

    Open it before the turn engine and close it after: turns that end while the engine drains are announced.
    """
    async with open_webhooks(deny_private_networks=settings.deny_private_networks) as webhooks:
        server = LangGraphServer(settings, pool, tasks, graphs, callers, current_url, webhooks)
        async with running("langgraph-feed", server.feed.poll), running("langgraph-threads", server.watch.poll):
            try:
                yield server
            finally:
                server.close_streams()
