"""What an agent reaches outside, read from a table: of `agent.toml`, or of a component of the registry."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent_runtime.project.toml_tables import Table, expand
from groundwork.outgoing.mcp_server import McpServer
from groundwork.outgoing.urls import split_url

REGISTRY_NAME = "registry"
"""What `/status` shows the agent's registry as, among the peers, none of which can have the name."""

LONGEST_TIMEOUT_SECONDS = 86_400

_SOURCE_NAME = re.compile(r"[a-z0-9_-]{1,40}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Peer:
    """Another A2A agent, by the URL its card is found under."""

    name: str
    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    timeout_seconds: float | None = None
    """How long it may take to answer; after that the model is told that it still works on it."""


class OutboundReader:
    """Reads MCP servers and peers, and remembers which of their values are secrets.

    `${NAME}` takes its value from `environment`; what may not be read there is named in `withheld`.
    """

    def __init__(
        self, directory: Path, environment: Mapping[str, str], *, withheld: frozenset[str] = frozenset()
    ) -> None:
        self._directory = directory
        self._environment = environment
        self._withheld = withheld
        self.secrets: list[str] = []

    def timeout(self, table: Table) -> float | None:
        """How long a call may take, where the table says so."""
        return table.number("timeout_seconds", 0.1, LONGEST_TIMEOUT_SECONDS)

    def mcp_server(self, name: str, table: Table, timeout_seconds: float | None = None) -> McpServer:
        """Raises `BadProject`, as every method does, naming the field and what is accepted."""
        if table.has("url") == table.has("command"):
            table.refuse("", "needs either url (streamable HTTP) or command (stdio), and not both")
        server = self._http_server(name, table) if table.has("url") else self._stdio_server(name, table)
        table.done()
        return replace(server, timeout_seconds=timeout_seconds)

    def peer(self, name: str, table: Table) -> Peer:
        url = self._url(table)
        peer = Peer(name, url, self.token(table), self.timeout(table))
        table.done()
        return peer

    def peer_at(self, name: str, table: Table, token: str | None, timeout_seconds: float | None) -> Peer:
        """A peer whose URL is in the table, among other things, and of which the rest is known."""
        return Peer(name, self._url(table), token, timeout_seconds)

    def token(self, table: Table) -> str | None:
        """The token of a peer, which goes into a header."""
        token = self._expand(table, "token", table.text("token")).strip() if table.has("token") else ""
        if not token.isprintable() or not token.isascii():
            table.refuse("token", "must be printable ASCII, as it is sent in a header")
        self._keep_secret(token)
        return token or None

    def text(self, table: Table, name: str, text: str) -> str:
        """The text with the environment's values in it, which are secrets from then on."""
        return self._expand(table, name, text)

    def _http_server(self, name: str, table: Table) -> McpServer:
        headers = {}
        for key, value in table.text_map("headers").items():
            if not _HEADER_NAME.fullmatch(key):
                table.refuse("headers", f"{key!r} is not a header name")
            headers[key] = self._expand(table, f"headers.{key}", value).strip()
            if not headers[key].isprintable() or not headers[key].isascii():
                table.refuse(f"headers.{key}", "must be printable ASCII")
            self._keep_secret(headers[key])
        return McpServer(name, url=self._url(table), headers=headers)

    def _stdio_server(self, name: str, table: Table) -> McpServer:
        args = []
        for position, argument in enumerate(table.texts("args")):
            args.append(self._expand(table, f"args[{position}]", argument))
        env = {key: self._expand(table, f"env.{key}", text) for key, text in table.text_map("env").items()}
        cwd = self._directory / self._expand(table, "cwd", table.text("cwd", "."), secret=False)
        if not cwd.is_dir():
            table.refuse("cwd", f"there is no directory {cwd}")
        command = self._expand(table, "command", table.text("command"), secret=False)
        return McpServer(name, command=command, args=tuple(args), env=env, cwd=cwd.resolve())

    def _url(self, table: Table) -> str:
        written = table.text("url")
        url, values = self._values_in(table, "url", written)
        url = url.strip()
        try:
            parts = split_url(url)
        except ValueError as error:
            table.refuse("url", str(error))
        if parts.fragment:
            table.refuse("url", "must not have a fragment (#...)")
        # The host may come from the environment and is no secret; a key in the path or the query is.
        for secret in (parts.password, parts.query, *(value for value in values if value in parts.path)):
            self._keep_secret((secret or "").strip("/"))
        return url

    def _expand(self, table: Table, name: str, text: str, *, secret: bool = True) -> str:
        expanded, values = self._values_in(table, name, text)
        if secret:
            for value in values:
                self._keep_secret(value)
        return expanded

    def _values_in(self, table: Table, name: str, text: str) -> tuple[str, list[str]]:
        return expand(text, self._environment, lambda message: table.refuse(name, message), self._withheld)

    def _keep_secret(self, value: str) -> None:
        if value:
            self.secrets.append(value)


def check_source_name(name: str, table: Table, *, peer: bool = False) -> None:
    """Raises `BadProject` for a name that tools cannot begin with, or that something else has."""
    if not _SOURCE_NAME.fullmatch(name):
        table.refuse("", "the name begins tool names; accepted are 1 to 40 characters of a-z, 0-9, _ and -")
    if peer and name == REGISTRY_NAME:
        table.refuse("", "the name is taken: /status shows the agent's registry under it; choose another one")
