"""Agents meet a real registry here, which the tests of the registry know how to start."""

from tests.registry.conftest import (
    registry,
    registry_dsn,
    registry_pool,
    registry_template,
    reused_registry_database,
)

__all__ = ["registry", "registry_dsn", "registry_pool", "registry_template", "reused_registry_database"]
