"""LangGraph's clients for JavaScript, where `make test-js` has put them; elsewhere nothing here is collected."""

import os

from tests.agent_runtime.langgraph_server.conftest import shared_database_url

collect_ignore_glob = [] if os.environ.get("LANGGRAPH_JS") else ["test_*.py"]

__all__ = ["shared_database_url"]
