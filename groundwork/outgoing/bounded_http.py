"""HTTP towards servers that are not ours, with answers that are bounded."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from groundwork.outgoing.fetch import HttpClient, Unreachable, certificates, unpacked
from groundwork.telemetry.tracing import tell_server

OpenTransport = Callable[[], httpx.AsyncBaseTransport]


class BoundedClient(HttpClient):
    """Reads at most `longest` bytes of an answer, and raises `httpx.ReadError` where there are more.

    Answers are unpacked here: httpx would unpack whatever it is sent, a piece of it to gigabytes.
    """

    def __init__(self, *, longest: int, open_transport: OpenTransport | None = None, **options: Any) -> None:
        # Only without a transport of its own does httpx heed the proxy settings of the environment.
        transport = open_transport() if open_transport else None
        super().__init__(transport=transport, verify=certificates(), **options)
        self.longest = longest

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        request.headers["Accept-Encoding"] = "gzip"  # what can be unpacked within a bound
        self._tell_place(request)
        response = await super().send(request, stream=True, **options)
        if "content-encoding" in response.headers:
            response = rebuilt(response, stream=_Unpacked(response, self.longest))
        return response if stream else await whole(response, self.longest)

    def _tell_place(self, request: httpx.Request) -> None:
        tell_server(request.headers)


class _Unpacked(httpx.AsyncByteStream):
    """The body of an answer that was packed, in pieces of at most `longest` bytes."""

    def __init__(self, response: httpx.Response, longest: int) -> None:
        self._response = response
        self._longest = longest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in unpacked(self._response, self._longest):
                yield chunk
        except Unreachable as error:
            raise httpx.ReadError(str(error), request=self._response.request) from error

    async def aclose(self) -> None:
        await self._response.aclose()


async def whole(response: httpx.Response, longest: int) -> httpx.Response:
    """Read the answer to its end and close it. Raises `httpx.ReadError` where it is longer than `longest`."""
    content = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > longest:
                raise httpx.ReadError(f"the answer is longer than {longest} bytes", request=response.request)
    finally:
        await response.aclose()
    return rebuilt(response, content=bytes(content))


def rebuilt(response: httpx.Response, **body: Any) -> httpx.Response:
    """Return the answer with another body."""
    # The body is decoded already, and may have another length now.
    described_body = ("content-encoding", "content-length", "transfer-encoding")
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in described_body]
    return httpx.Response(
        response.status_code, headers=headers, request=response.request, extensions=response.extensions, **body
    )
