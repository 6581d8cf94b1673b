import pytest

from groundwork.outgoing.masking import Mask, mask_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a.example:8000/mcp", "http://a.example:8000/mcp"),
        ("http://user:secret@a.example/mcp", "http://***@a.example/mcp"),
        ("http://a.example/mcp?key=secret", "http://a.example/mcp?***"),
    ],
)
def test_a_url_is_shown_without_credentials_and_query(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_secrets_and_urls_inside_an_error_are_hidden() -> None:
    mask = Mask(["canary-1", "canary-12", "x"])
    error = ExceptionGroup("g", [ValueError("canary-12 at 'http://u:p@a/b?c=d'\nxyz")])
    assert mask.error(error) == "*** at 'http://***@a/b?***' xyz"


def test_an_error_is_one_line_of_bounded_length() -> None:
    assert len(Mask().error(ValueError("y\n" * 1000))) == 300


def test_a_missing_command_is_named() -> None:
    assert "no-such" in Mask().error(FileNotFoundError(2, "No such file", "no-such"))
