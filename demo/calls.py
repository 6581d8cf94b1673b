"""HTTP calls that can be shown as a `curl` line and made: both from the same description."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from demo.json_text import lay_out

CONTINUED = 6
"""Where the lines of a command begin, after the first."""

_JSON = "application/json"


@dataclass(frozen=True)
class Call:
    """One request; `body` is sent as JSON when there is one."""

    method: str
    url: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def curl(self) -> list[list[str]]:
        """The command, an option and its value at a time; quoting is left to whoever prints it."""
        method = [] if self.method == "GET" else [["-X", self.method]]
        headers = [["-H", f"{name}: {value}"] for name, value in self._all_headers.items()]
        body = [] if self.body is None else [["-d", self._content]]
        return [["curl"], *method, [self.url], *headers, *body]

    def request(self, http: httpx.AsyncClient) -> httpx.Request:
        """The request that curl would send."""
        return http.build_request(self.method, self.url, headers=self._all_headers, content=self._content or None)

    @property
    def _all_headers(self) -> dict[str, str]:
        kind = {} if self.body is None else {"Content-Type": _JSON}
        return {**kind, **self.headers}

    @property
    def _content(self) -> str:
        # Long bodies are laid out the way they stand in the command, so that what is shown is what is sent.
        return (
            "" if self.body is None else lay_out(dict(self.body), 80, before=len("      -d '"), indent=CONTINUED)
        )


def say_with_curl(url: str, text: str, context_id: str) -> Call:
    """A message to the agent at `url`, by a caller who has no A2A library."""
    message = {
        "messageId": uuid4().hex[:8],
        "role": "ROLE_USER",
        "contextId": context_id,
        "parts": [{"text": text}],
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    return Call("POST", f"{url}/", body, {"A2A-Version": "1.0"})
