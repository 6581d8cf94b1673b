"""The schema of the agent's own tables, one numbered file per change; applied by `groundwork.migrations`."""
