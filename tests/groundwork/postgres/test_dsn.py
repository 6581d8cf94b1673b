import pytest

from groundwork.postgres.dsn import check_dsn


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("host=127.0.0.1 port=1 bogus=1", "no parameter 'bogus'"),
        ("postgresql://u@h/d?bogus=1", "no parameter 'bogus'"),
        ("postgresql+asyncpg://u:pw@h/d", "begins with postgresql://"),
        ("postgres+psycopg://u:pw@h/d", "begins with postgresql://"),
        ("host=h password=secret word=x", "key=value pairs"),
    ],
)
def test_what_is_wrong_in_a_connection_string_is_named_unless_it_may_be_a_password(dsn: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        check_dsn(dsn)
    assert "word=" not in str(refused.value)
    assert "'word'" not in str(refused.value)
