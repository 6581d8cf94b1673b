"""A URL names a host as it stands, whichever reader of URLs comes to it later."""

import pytest

from groundwork.outgoing.urls import is_url, split_url


@pytest.mark.parametrize(
    "url",
    ["http://h", "https://h.test:8443/a?b=c", "http://[::1]:80/", "http://127.0.0.1", "http://bücher.test/ü"],
)
def test_a_url_with_a_host_is_one(url: str) -> None:
    assert split_url(url).hostname


@pytest.mark.parametrize(
    "url",
    [
        "http:///path",
        "http:host/path",
        "http:/host",
        "http://",
        "http://:80/",
        "http://?q",
        "http://./",
        "http://h:0",
        "http://h:99999",
        "http://[::1",
        r"http:\\h\a",
        r"http://h\@evil.test/",
        "http://h%2fevil.test/",
        "ftp://h",
        "//h/path",
        " http://h",
        "http://h\n/",
        "",
    ],
)
def test_what_readers_could_understand_differently_is_none(url: str) -> None:
    assert not is_url(url)
