"""The agent process: a LangGraph graph with Postgres checkpoints, served over A2A."""

import os

# LangGraph reads it once, when it is imported: a checkpoint brings back what the graph's schemas name, and nothing
# else that a row of the database may name. Only the environment itself says otherwise, no `.env`.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
