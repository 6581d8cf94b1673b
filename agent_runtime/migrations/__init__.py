"""The schema of the agent's tables, a numbered file per change; `groundwork.postgres.migrations` applies them."""
