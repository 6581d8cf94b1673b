"""Who listens where, and who is told that the address is taken."""

import pytest

from groundwork.serving import AddressInUse, bind


def test_an_address_is_taken_from_the_moment_it_is_bound() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(AddressInUse, match=f"cannot listen on 127.0.0.1:{port}"):
            bind("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(AddressInUse, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0)


def test_an_ipv6_address_is_bound_as_one() -> None:
    with bind("::1", 0) as bound:
        assert bound.getsockname()[0] == "::1"
