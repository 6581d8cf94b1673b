"""Who has a token is told from who has none in one way, on every face of both services."""

from pathlib import Path

import pytest

from tests.admin_api.answers import send_raw
from tests.agents import running_agent, write_project
from tests.registry.registries import Served

FACES = (
    ("agent", "POST / HTTP/1.1"),
    ("agent", "GET /a2a/tasks HTTP/1.1"),
    ("agent", "GET /api/v1/status HTTP/1.1"),
    ("registry", "GET /agents HTTP/1.1"),
    ("registry", "POST /agents/nobody/heartbeat HTTP/1.1"),
)

LETS_IN = {
    "as documented": ["Bearer {token}"],
    "lower case": ["bearer {token}"],
    "upper case": ["BEARER {token}"],
    "more blanks": ["Bearer    {token}   "],
}

REFUSED = {
    "no header": [],
    "an empty header": [""],
    "a scheme alone": ["Bearer"],
    "an empty token": ["Bearer  "],
    "another scheme": ["Basic {token}"],
    "no scheme": ["{token}"],
    "a tab": ["Bearer\t{token}"],
    "more than the token": ["Bearer {token}x"],
    "two tokens": ["Bearer {token} {token}"],
    "two credentials": ["Bearer {token}, Bearer {token}"],
    "not ASCII": ["Bearer {token}\xe9"],
    "twice the same": ["Bearer {token}", "Bearer {token}"],
    "a wrong one first": ["Bearer x", "Bearer {token}"],
    "a wrong one last": ["Bearer {token}", "Bearer x"],
    "an empty one last": ["Bearer {token}", ""],
}


@pytest.fixture
async def faces(tmp_path: Path, database_url: str, registry: Served):
    """Asks each face with these headers and trailers; returns its status and challenge."""
    tokens = {"agent": "swordfish", "registry": registry.token}
    async with running_agent(
        write_project(tmp_path), database_url, admin_token="swordfish", a2a_tokens="ann=swordfish"
    ) as agent:
        clients = {"agent": agent.http, "registry": registry.http}

        async def ask(values: list[str], trailers: list[str]) -> list[tuple[int, bool]]:
            answers = []
            for service, line in FACES:
                filled = [[each.format(token=tokens[service]) for each in given] for given in (values, trailers)]
                answer = await send_raw(clients[service], request(line, *filled))
                answers.append((answer.status_code, "www-authenticate" in answer.headers))
            return answers

        yield ask


async def test_every_face_reads_a_bearer_token_in_the_same_way(faces):
    for name, values in LETS_IN.items():
        assert {status == 401 for status, _ in await faces(values, [])} == {False}, name
    for name, values in REFUSED.items():
        assert set(await faces(values, [])) == {(401, True)}, name


async def test_a_token_in_a_trailer_lets_nobody_in(faces):
    assert set(await faces([], ["Bearer {token}"])) == {(401, True)}
    assert {status == 401 for status, _ in await faces(["Bearer {token}"], ["Bearer x"])} == {False}


def request(line: str, values: list[str], trailers: list[str]) -> bytes:
    head = [line, "Host: localhost", "Content-Type: application/json", "Connection: close"]
    head += [f"Authorization: {value}" for value in values]
    after = [f"Authorization: {value}" for value in trailers]
    lines = [*head, "Transfer-Encoding: chunked", "", "2", "{}", "0", *after, "", ""]
    return "\r\n".join(lines).encode("latin-1")
