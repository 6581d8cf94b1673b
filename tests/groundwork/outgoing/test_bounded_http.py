"""Answers of servers that are not ours, packed so that they would fill the memory."""

import gzip
import tracemalloc
import zlib

import httpx
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundwork.outgoing.bounded_http import BoundedClient
from tests.servers import run_server

LONGEST = 100_000
UNPACKED = 128 * 1024 * 1024


def bomb(encoding: str) -> bytes:
    if encoding == "zstd":
        packer = zstandard.ZstdCompressor(level=3).compressobj()
        return b"".join([packer.compress(bytes(2**24)) for _ in range(UNPACKED // 2**24)] + [packer.flush()])
    gzipper = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join([gzipper.compress(bytes(2**24)) for _ in range(UNPACKED // 2**24)] + [gzipper.flush()])


async def answer(request: Request) -> Response:
    encoding, what = request.path_params["encoding"], request.path_params["what"]
    body = {"bomb": lambda: bomb(encoding), "well": lambda: gzip.compress(b"hello"), "ill": lambda: b"no gzip"}[
        what
    ]()
    return Response(body, headers={"Content-Encoding": encoding})


@pytest.fixture
async def url():
    async with run_server(Starlette(routes=[Route("/{encoding}/{what}", answer)])) as url:
        yield url


async def test_a_packed_answer_is_unpacked(url: str) -> None:
    async with BoundedClient(longest=LONGEST) as client:
        assert (await client.get(f"{url}/gzip/well")).text == "hello"
        async with client.stream("GET", f"{url}/gzip/well") as streamed:
            assert await streamed.aread() == b"hello"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_an_answer_that_unpacks_to_more_than_is_read_costs_no_memory(url: str, encoding: str) -> None:
    async with BoundedClient(longest=LONGEST) as client:
        tracemalloc.start()
        with pytest.raises(httpx.ReadError):
            await client.get(f"{url}/{encoding}/bomb")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < UNPACKED / 4


async def test_what_cannot_be_unpacked_is_an_answer_that_broke_off(url: str) -> None:
    async with BoundedClient(longest=LONGEST) as client:
        with pytest.raises(httpx.ReadError, match="cannot be unpacked"):
            await client.get(f"{url}/gzip/ill")
