"""HTTP calls that can be shown as a `curl` line and made: both from the same description."""

import shlex
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
class Bearer:
    """A token, which is shown as the shell variable that holds it."""

    variable: str
    token: str


@dataclass(frozen=True)
class Call:
    """One request; `body` is sent as JSON when there is one."""

    method: str
    url: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    bearer: Bearer | None = None

    def curl(self) -> list[str]:
        """The command, quoted for a shell, an option with its value at a time."""
        method = [] if self.method == "GET" else [f"-X {self.method}"]
        headers = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in self._plain_headers.items()]
        bearer = [f'-H "Authorization: Bearer ${self.bearer.variable}"'] if self.bearer else []
        body = [] if self.body is None else [f"-d {shlex.quote(self._content)}"]
        return ["curl", *method, shlex.quote(self.url), *bearer, *headers, *body]

    def request(self, http: httpx.AsyncClient | httpx.Client) -> httpx.Request:
        """The request that curl would send."""
        bearer = {"Authorization": f"Bearer {self.bearer.token}"} if self.bearer else {}
        headers = {**self._plain_headers, **bearer}
        return http.build_request(self.method, self.url, headers=headers, content=self._content or None)

    @property
    def _plain_headers(self) -> dict[str, str]:
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
