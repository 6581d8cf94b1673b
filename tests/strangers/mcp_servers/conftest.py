"""The tests here are collected where `make test-mcp` has installed the servers of others."""

import os

# Nothing is skipped: what cannot run is not collected.
collect_ignore_glob = [] if "TEST_MCP_SERVERS" in os.environ else ["test_*.py"]
