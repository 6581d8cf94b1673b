"""The agent process: a LangGraph graph with Postgres checkpoints, served over A2A."""
