"""Who listens where, and who is told that the address is taken."""

import asyncio
import socket

import pytest

from groundwork.http.serving import AddressInUse, bind


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


async def test_the_body_of_an_answer_does_not_wait_for_its_head_to_be_acknowledged() -> None:
    accepted = asyncio.Queue[asyncio.StreamWriter]()
    with bind("127.0.0.1", 0) as bound:
        server = await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), sock=bound)
        _, client = await asyncio.open_connection(*bound.getsockname())
        served = await accepted.get()
        assert served.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for writer in (client, served):
            writer.close()
        server.close()
