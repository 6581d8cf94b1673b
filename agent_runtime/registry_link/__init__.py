"""The agent's side of the registry: it registers, shows that it is alive, and leaves."""
