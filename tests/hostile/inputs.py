"""Requests to every route of both services: near to what they accept, and far from it."""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

from tests.contract.agent_who import MISTAKES, WHO
from tests.contract.test_a2a_bodies import REST_ROUTES, RPC_METHODS, filled_in
from tests.hostile.client import Answer, Request
from tests.hostile.values import EXPRESSIONS, LOOPBACKS, TEXTS, mutated, spoiled, tree
from tests.registry.walks import Route, example
from tests.registry.who import WHO as REGISTRYS_WHO
from tests.registry.workflows.samples import SAMPLES, load_sample

Json = Any

_IDS = re.compile(rb"(?:exec_|tok_)?[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|tok_[0-9a-f]{16}|[0-9a-f]{64}")

_EXPRESSION = re.compile(r'"(?:condition|expression|template)": ("(?:[^"\\]|\\.)*"|null)')

_PLACE = re.compile(r"{[^}]*}")

_ODD_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"Content-Encoding", b"gzip"),
    (b"Expect", b"100-continue"),
    (b"Range", b"bytes=0-0,1-1,2-2,-1"),
    (b"Accept", b"text/event-stream"),
    (b"Accept", b"x/" + b"y" * 4000),
    (b"X-Request-Id", b"a b\tc"),
    (b"X-Request-Id", b"x" * 5000),
    (b"X-Forwarded-Host", b"evil.example"),
    (b"If-Match", b'"\xff"'),
    (b"Last-Event-ID", b"99999999999999999999"),
    (b"Cookie", b"a=b; " * 500),
    (b"Authorization", b"Bearer \xff\xfe"),
    (b"Upgrade", b"websocket"),
    (b"Origin", b"null"),
    (b"traceparent", b"00-" + b"f" * 32 + b"-" + b"f" * 16 + b"-01"),
    (b"traceparent", b"zz-\xff"),
)

_MEDIA_TYPES = (b"application/json",) * 20 + (
    b"application/json; charset=utf-16",
    b"text/plain",
    b"multipart/form-data; boundary=x",
    b"application/octet-stream",
    b"\xff",
    b"",
)


@dataclass
class Source:
    """Makes requests: the seed's alone, except for the names of things that answers have told it."""

    random: Random
    token: str
    operations: Mapping[str, Callable[[], Json]]
    """By route, what its body may be."""
    spared: frozenset[str] = frozenset()
    """What it never names: what it could not go on without."""
    versions: tuple[bytes, ...] = ()
    seen: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    def draw(self) -> Request:
        route = self.random.choice(list(self.operations))
        method, pattern = route.split(" ")
        body = self._body(self.operations[route]()) if method in ("POST", "PUT", "PATCH") else b""
        if self.random.random() < 0.03:
            method = self.random.choice(("HEAD", "OPTIONS", "DELETE", "PUT", "TRACE", "PROPFIND", "get"))
        target = _PLACE.sub(lambda _: self._name(), pattern) + self._query()
        return Request(route, method, target.encode("ascii"), tuple(self._headers()), body)

    def learn(self, answer: Answer) -> None:
        """Names of things that are there make better requests than names of things that are not."""
        for name in _IDS.findall(answer.body[:20_000])[:5]:
            if name.decode() not in self.spared:
                self.seen.append(name.decode())

    def _name(self) -> str:
        if self.seen and self.random.random() < 0.5:
            return self.random.choice(self.seen)
        text = self.random.choice(TEXTS)[:4000]
        if self.random.random() < 0.1:
            return self.random.choice(
                ("%00", "%ff%fe", "%ed%a0%80", "%c0%ae", "%2F", "%2e%2e%2f", "a%0d%0ab", "%")
            )
        return quote(text, safe="", errors="surrogatepass") or "x"

    def _query(self) -> str:
        if self.random.random() < 0.6:
            return ""
        names = (
            "limit",
            "offset",
            "cursor",
            "before",
            "all",
            "status",
            "skills",
            "tenant",
            "after",
            "stream",
            "x",
        )
        pairs = [f"{self.random.choice(names)}={self._name()}" for _ in range(self.random.randrange(1, 4))]
        # A stream of events that nobody ends would be followed until it is.
        return "?" + "&".join(pair for pair in pairs if not pair.startswith("stream=true"))

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"Content-Type", self.random.choice(_MEDIA_TYPES))]
        if self.random.random() < 0.98:
            headers.append((b"Authorization", b"Bearer " + self.token.encode()))
        if self.versions:
            headers.append((b"A2A-Version", self.random.choice(self.versions)))
        if self.random.random() < 0.1:
            headers.append(self.random.choice(_ODD_HEADERS))
        return headers

    def _body(self, content: Json) -> bytes:
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 5))):
            content = mutated(self.random, content)
        return spoiled(self.random, content)


def registry_source(random: Random, token: str, token_id: str, routes: list[Route]) -> Source:
    schemas = {f"{route.method.upper()} {route.path}": route.body for route in routes}
    samples = [load_sample(name) for name in SAMPLES]
    source = Source(random, token, {}, frozenset({token, token_id}))

    def some_name() -> str:
        return random.choice([*TEXTS, *source.seen, *(str(sample["workflow_id"]) for sample in samples)])

    def body_for(route: str) -> Callable[[], Json]:
        match route:
            case "POST /workflows":
                return lambda: {"ir": _with_expressions(random, random.choice(samples))}
            case "POST /executions":
                return lambda: {"workflow_id": random.choice(samples)["workflow_id"], "input": tree(random)}
            case "POST /agents/discover":
                return lambda: {"url": random.choice(LOOPBACKS)}
            case _:
                return lambda: example(schemas.get(route) or {"type": "object"}, some_name())

    source.operations = {route: body_for(route) for route in REGISTRYS_WHO}
    return source


def agent_source(random: Random, admin_token: str) -> Source:
    """With one token for callers and the operator alike."""
    source = Source(random, admin_token, {}, versions=(b"1.0",) * 12 + (b"0.3",) * 4 + (b"", b"7", b"\xff"))
    rest = {f"{method} {path}": content for method, path, content in REST_ROUTES}
    receiver = random.choice(LOOPBACKS)

    def filled(content: Json) -> Json:
        task = random.choice(source.seen) if source.seen else "none"
        return filled_in(content, {"TASK": task, "RECEIVER": receiver, "context": random.choice(TEXTS)})

    def body_for(route: str) -> Callable[[], Json]:
        if route == "POST /":
            return lambda: _rpc_call(random, filled)
        if route in rest:
            return lambda: filled(rest[route])
        return lambda: random.choice(
            (
                {"url": random.choice(LOOPBACKS)},
                {"summarize": True, "window_size": random.choice((1, 0, 10**9)), "summarize_threshold": 5},
                {"old_id": random.choice(TEXTS), "new_id": "test-agent", "force": True},
            )
        )

    routes = {**WHO, **MISTAKES}
    # Most of what an agent is sent are calls.
    source.operations = {route: body_for(route) for route in routes}
    return source


def _rpc_call(random: Random, filled: Callable[[Json], Json]) -> Json:
    method = random.choice((*RPC_METHODS, "SendMessage", "message/send"))
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": filled(RPC_METHODS[method])}


def _with_expressions(random: Random, document: Json) -> Json:
    """The document with an expression of ours in place of one of its own."""
    text = json.dumps(document)
    places = [match.span(1) for match in _EXPRESSION.finditer(text)]
    if not places or random.random() < 0.5:
        return document
    start, end = random.choice(places)
    return json.loads(text[:start] + json.dumps(random.choice(EXPRESSIONS)) + text[end:])
