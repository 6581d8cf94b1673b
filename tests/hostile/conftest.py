"""A registry of the test's own, as the registry's tests have it."""

from tests.registry.conftest import registry, registry_dsn, registry_template, reused_registry_database

__all__ = ["registry", "registry_dsn", "registry_template", "reused_registry_database"]
