"""A2A and checkpoints, and nothing else: the agent's own A2A routes and saver, without owners of threads, without
an order of turns, and with tasks that only the answer holds. What the agent costs on top of it is what those cost.

    PORT=… POSTGRES_DSN=… python -m benchmarks.bare_agent serve
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from a2a.server.context import ServerCallContext
from a2a.types import Message, SendMessageRequest, Task, TaskState
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from agent_runtime.a2a_server import convert
from agent_runtime.a2a_server.card import build_card
from agent_runtime.a2a_server.edge import guarded
from agent_runtime.a2a_server.handler import A2AHandler
from agent_runtime.a2a_server.routes import add_a2a_routes
from agent_runtime.a2a_server.tasks import fold
from agent_runtime.database import prepare_database
from agent_runtime.graph.context import TurnContext
from agent_runtime.graph.incoming import human_message
from agent_runtime.graph.outputs import Output
from agent_runtime.project.file import CardSpec, Skill
from agent_runtime.turns.graph_run import GraphRun
from agent_runtime.turns.types import Turn, TurnRequest
from benchmarks.graphs import GRAPHS
from benchmarks.loose_saver import LooseSaver
from groundwork.command import run
from groundwork.http.asgi import RequestId
from groundwork.http.health import serve_health
from groundwork.http.hosts import OwnHosts
from groundwork.http.serving import Listener, bind, serve
from groundwork.models.offline.model import OfflineChatModel
from groundwork.postgres.pool import Pool, check_database, open_pool

_DESCRIPTION = "Answers at once."
CARD = CardSpec("bare", _DESCRIPTION, "0", (Skill("chat", "bare", _DESCRIPTION, ("chat",)),))


class BareHandler(A2AHandler):
    """Answers messages. The other methods of the protocol would find nothing to work on, and are not called."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._graph = GRAPHS["chat"].compile()
        self._model = OfflineChatModel()

    @guarded
    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task:
        message = Message()
        message.CopyFrom(params.message)
        message.context_id = message.context_id or str(uuid4())
        message.task_id = str(uuid4())
        task = convert.new_task(message.task_id, message)
        task.status.CopyFrom(convert.status(TaskState.TASK_STATE_WORKING, datetime.now(UTC)))
        for event in convert.output_events(task, await self._outputs(message), datetime.now(UTC)):
            fold(task, event)
        task.status.CopyFrom(convert.status(TaskState.TASK_STATE_COMPLETED, datetime.now(UTC)))
        return task

    async def _outputs(self, message: Message) -> Sequence[Output]:
        thread_id, task_id = message.context_id, message.task_id
        said = human_message(
            convert.incoming_parts(message),
            message_id=message.message_id,
            context_id=thread_id,
            task_id=task_id,
            caller="",
        )
        context = TurnContext(thread_id, task_id, message.message_id, "", "bare", self._model)
        saver = LooseSaver(self._pool, thread_id)
        put: list[Output] = []

        async def keep(outputs: Sequence[Output]) -> None:
            put.extend(outputs)

        turn = Turn(0, thread_id, task_id, 0, "", 1)
        ran = GraphRun(self._graph, turn, context, saver=saver, durability="async", put=keep)
        result = await ran.run(TurnRequest(thread_id, task_id, "", message.message_id, said))
        if result.unsaved:
            await saver.store(result.unsaved)
        return [*put, *result.outputs]


async def main() -> None:
    port = int(os.environ["PORT"])
    with bind("127.0.0.1", port) as socket:
        async with open_pool(os.environ["POSTGRES_DSN"], name="bare") as pool:
            await prepare_database(pool)
            await serve([Listener(_app(pool, port), socket)], grace_seconds=1)


def _app(pool: Pool, port: int) -> RequestId:
    app = FastAPI()

    async def check() -> None:
        await check_database(pool)

    serve_health(app, check, CollectorRegistry())
    url = f"http://127.0.0.1:{port}"
    card = build_card(CARD, url, bearer=False)
    add_a2a_routes(
        app,
        BareHandler(pool),
        card,
        current_url=lambda: url,
        callers={},
        own_hosts=OwnHosts(),
        max_body_bytes=2**20,
    )
    return RequestId(app)


if __name__ == "__main__":
    run("bare-agent", main(), serves=True)
