"""A DSN can be shown without its password."""

import pytest

from groundwork.postgres.dsn import mask_password


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("", ""),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://user:canary@host/db", "postgresql://user:***@host/db"),
        ("postgresql://canary:canary@canary/canary", "postgresql://canary:***@canary/canary"),
        (
            "postgresql://user:can%40ary@host:5432/db?sslmode=require",
            "postgresql://user:***@host:5432/db?sslmode=require",
        ),
        ("postgres://user:a:b?c@host/db", "postgres://user:***@host/db"),
        ("postgresql://host/db?password=canary&user=me", "postgresql://host/db?password=***&user=me"),
        ("postgresql://host/db?p%61ssword=canary", "***"),
        ("host=host password=canary dbname=db", "password=*** dbname=db host=host"),
        (r"host=host password='ca\' nary'", "password=*** host=host"),
        ("host=host sslpassword=canary", "host=host sslpassword=***"),
        ("this is no DSN", "***"),
        ("postgresql://u:can@ary?sslmode=x@host/db", "***"),
    ],
)
def test_only_the_password_of_a_dsn_is_hidden(dsn: str, shown: str) -> None:
    assert mask_password(dsn) == shown
