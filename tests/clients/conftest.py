"""Clients are generated where `make test-clients` has put the generators; elsewhere nothing here is collected."""

import os

from tests.contract.conftest import (
    registry,
    registry_dsn,
    registry_pool,
    registry_template,
    reused_registry_database,
)

collect_ignore_glob = [] if os.environ.get("CLIENT_GENERATORS") else ["test_*.py"]

__all__ = ["registry", "registry_dsn", "registry_pool", "registry_template", "reused_registry_database"]
