"""A FastAPI app that runs a LangGraph graph of its own, with the admin API mounted on it.

POSTGRES_DSN=postgresql://localhost/mydb uvicorn --app-dir examples --factory mount_on_your_own_app:create_app

curl -X POST http://localhost:8000/chat/session-001 -H "Content-Type: application/json" -d '{"text": "hello"}'
curl http://localhost:8000/api/v1/memory/threads
curl http://localhost:8000/api/v1/memory/threads/session-001/messages
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from admin_api import MountedAgent, admin_router
from agent_runtime.database import prepare_database
from agent_runtime.errors import ThreadNotOurs
from groundwork.postgres.pool import open_pool


async def answer(state: MessagesState) -> dict[str, list[AIMessage]]:
    return {"messages": [AIMessage(f"You said: {state['messages'][-1].text}")]}


def build_graph() -> StateGraph[MessagesState, None, MessagesState, MessagesState]:
    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder


class Message(BaseModel):
    text: str


def create_app(dsn: str | None = None) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_pool(dsn or os.environ["POSTGRES_DSN"], name="my-app") as pool:
            app.state.graph = build_graph().compile(checkpointer=AsyncPostgresSaver(pool))
            # The three lines: the schema, the agent whose threads are administered, and the routes. For more
            # than this machine, add token="..." and every admin call needs it as its bearer token.
            await prepare_database(pool)
            app.state.agent = MountedAgent("my-agent", pool)
            app.include_router(admin_router(app.state.agent))
            yield

    app = FastAPI(title="My app", lifespan=lifespan)

    @app.post("/chat/{thread_id}")
    async def chat(thread_id: str, message: Message) -> dict[str, Any]:
        try:
            # Before the graph runs, each time: it makes the thread this agent's, or refuses another agent's.
            await app.state.agent.threads.claim(thread_id)
        except ThreadNotOurs as error:
            raise HTTPException(403, str(error)) from error
        config = {"configurable": {"thread_id": thread_id}}
        state = await app.state.graph.ainvoke({"messages": [HumanMessage(message.text)]}, config)
        return {"reply": state["messages"][-1].text}

    return app
