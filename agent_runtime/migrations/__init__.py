"""The schema of the tables of the agent, a numbered file per change; `groundwork.postgres.migrations` applies them."""
