"""Tools from outside the graph: MCP servers and other A2A agents, kept connected while the agent runs."""
