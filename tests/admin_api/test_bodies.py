"""Bodies are read strictly, within bounds, and all or nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from admin_api import MountedAgent
from agent_runtime.memory.config import MemoryConfig
from tests.admin_api.answers import data_of, error_of, outcome, send_raw, serve

CONFIG = "/api/v1/memory/config"
CARD = "/api/v1/card/url"
MIGRATE = "/api/v1/memory/migrate-agent-id"

NO_OBJECTS = [
    b"",
    b" ",
    b"{",
    b"[]",
    b'"x"',
    b"1",
    b"null",
    b"{'a': 1}",
    b'{"a": 1}x',
    b'{"a": 1, "a": 2}',
    b'{"a": NaN}',
    b'{"window_size": 1%s}' % (b"0" * 4000),  # JSON, but nothing that every parser reads alike
    b"\xff",
    b"[" * 100_000,
    b'{"a":' * 100_000,
]

WRONG_CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({"window_size": "1"}, ["window_size"]),
    ({"window_size": 1.5}, ["window_size"]),
    ({"window_size": 1.0}, ["window_size"]),
    ({"window_size": True}, ["window_size"]),
    ({"window_size": None}, ["window_size"]),
    ({"window_size": [1]}, ["window_size"]),
    ({"window_size": 0}, ["window_size"]),
    ({"window_size": 10_001}, ["window_size"]),
    ({"window_size": 10**200}, ["window_size"]),
    ({"summarize_threshold": 0}, ["summarize_threshold"]),
    ({"summarize_threshold": 100_001}, ["summarize_threshold"]),
    ({"summarize": 1}, ["summarize"]),
    ({"summarize": "true"}, ["summarize"]),
    ({"summarize": None}, ["summarize"]),
    ({"window_size": 10, "Window_Size": 10}, ["Window_Size"]),
    ({"window_size": 10, "\ud800": 1}, ["\ud800"]),
    ({"nonsense": 1, "summarize": 0, "window_size": 5}, ["summarize", "nonsense"]),
]

WRONG_CARD_URLS: list[dict[str, Any]] = [
    {},
    {"url": None},
    {"url": 1},
    {"url": "http://h/", "persist": True},
    {"url": "new-proxy:8080"},
    {"url": "http://user:canary@h/"},
    {"url": "http://h/#fragment"},
    {"url": "\ud800"},
]

WRONG_MIGRATIONS: list[dict[str, Any]] = [
    {},
    {"old_id": "a"},
    {"old_id": "a", "new_id": ""},
    {"old_id": "", "new_id": "my-agent"},
    {"old_id": 1, "new_id": "my-agent"},
    {"old_id": "a", "new_id": None},
    {"old_id": "a b", "new_id": "my-agent"},
    {"old_id": "x" * 256, "new_id": "my-agent"},
    {"old_id": "my-agent", "new_id": "my-agent"},
    {"old_id": "a", "new_id": "my-agent", "force": 1},
    {"old_id": "a", "new_id": "my-agent", "force": "true"},
    {"old_id": "a", "new_id": "my-agent", "dry_run": True},
]


async def test_what_is_not_a_json_object_is_no_body(idle_client: httpx.AsyncClient) -> None:
    for method, path in (("PATCH", CONFIG), ("PATCH", CARD), ("POST", MIGRATE)):
        for body in NO_OBJECTS:
            answer = await idle_client.request(method, path, content=body)
            assert outcome(answer) == (400, "INVALID_BODY"), body[:20]


async def test_a_wrong_change_of_the_memory_changes_nothing(
    idle_client: httpx.AsyncClient, idle_agent: MountedAgent
) -> None:
    for body, fields in WRONG_CHANGES:
        answer = await idle_client.patch(CONFIG, content=json.dumps(body))
        assert outcome(answer) == (400, "INVALID_PARAM"), fields
        assert error_of(answer)["fields"] == fields
    assert idle_agent.memory.current == MemoryConfig()


async def test_a_wrong_card_url_changes_nothing(idle_client: httpx.AsyncClient, idle_agent: MountedAgent) -> None:
    before = idle_agent.card_url.url
    for body in WRONG_CARD_URLS:
        answer = await idle_client.patch(CARD, content=json.dumps(body))
        assert outcome(answer) == (400, "INVALID_PARAM"), body
        assert error_of(answer)["field"] in ("url", "persist")
        assert "canary" not in answer.text
    assert idle_agent.card_url.url == before


async def test_a_wrong_migration_is_refused(idle_client: httpx.AsyncClient) -> None:
    for body in WRONG_MIGRATIONS:
        answer = await idle_client.post(MIGRATE, json=body)
        assert outcome(answer) == (400, "INVALID_PARAM"), body
        assert error_of(answer)["field"] in {*body, "old_id", "new_id"}


async def test_a_message_says_what_is_accepted(idle_client: httpx.AsyncClient) -> None:
    wrong = await idle_client.patch(CONFIG, json={"window_size": "x", "mode": 1})
    assert error_of(wrong)["message"] == (
        "window_size must be an integer from 1 to 10000;"
        " mode is not known here; accepted: summarize, window_size, summarize_threshold"
    )
    empty = await idle_client.patch(CONFIG, json={})
    assert outcome(empty) == (400, "INVALID_PARAM")
    assert error_of(empty)["message"] == (
        "nothing to change; accepted: summarize, window_size, summarize_threshold"
    )


async def test_fields_that_cannot_change_are_named_and_hold_the_others_back(
    idle_client: httpx.AsyncClient, idle_agent: MountedAgent
) -> None:
    body = {"window_size": 5, "postgres_dsn": "postgresql://u:canary@h", "backend": None, "enabled": False}
    answer = await idle_client.patch(CONFIG, json=body)
    assert outcome(answer) == (422, "IMMUTABLE_FIELD")
    assert error_of(answer)["fields"] == ["enabled", "backend", "postgres_dsn"]
    assert "canary" not in answer.text
    assert idle_agent.memory.current == MemoryConfig()


async def test_the_ends_of_the_ranges_are_accepted(
    idle_client: httpx.AsyncClient, idle_agent: MountedAgent
) -> None:
    for window_size, threshold in ((1, 1), (10_000, 100_000)):
        body = {"window_size": window_size, "summarize_threshold": threshold}
        assert data_of(await idle_client.patch(CONFIG, json=body)).items() >= body.items()
        assert idle_agent.memory.current == MemoryConfig(False, window_size, threshold)


async def test_a_body_beyond_the_limit_is_refused_and_the_answer_is_seen(idle_agent: MountedAgent) -> None:
    body = b'{"url": "http://h/' + b"x" * 2000 + b'"}'

    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    async with serve(idle_agent, max_body_bytes=1000) as client:
        for content in (body, in_chunks(), b" " * 7_500):
            answer = await client.patch(CARD, content=content)
            assert outcome(answer) == (413, "PAYLOAD_TOO_LARGE")
            assert error_of(answer)["limit"] == 1000
        assert (await client.patch(CARD, content=b'{"url": "http://h/"}'.ljust(1000))).status_code == 200


async def test_a_megabyte_is_accepted_by_default_and_no_more(idle_client: httpx.AsyncClient) -> None:
    body = b'{"url": "http://h/"}'
    assert (await idle_client.patch(CARD, content=body.ljust(1024 * 1024))).status_code == 200
    refused = await idle_client.patch(CARD, content=body.ljust(1024 * 1024 + 1))
    assert outcome(refused) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_length_that_lies_is_not_believed(idle_agent: MountedAgent) -> None:
    headers = b"Host: localhost\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n"
    async with serve(idle_agent, max_body_bytes=1000) as client:
        answer = await send_raw(client, b"PATCH /api/v1/card/url HTTP/1.1\r\n" + headers + b"x" * 10_000)
    assert outcome(answer) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_client_that_leaves_in_the_middle_of_its_body_changes_nothing(
    idle_client: httpx.AsyncClient, idle_agent: MountedAgent, caplog: pytest.LogCaptureFixture
) -> None:
    before = idle_agent.card_url.url
    url = idle_client.base_url
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"PATCH /api/v1/card/url HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n")
    writer.write(b'{"url": "http://h/"}')
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await idle_client.get("/status")).status_code == 200
    assert idle_agent.card_url.url == before
    assert "crashed" not in caplog.text


async def test_a_patch_needs_no_media_type(idle_client: httpx.AsyncClient) -> None:
    for media_type in ("application/json; charset=utf-8", "application/x-www-form-urlencoded", ""):
        headers = {"Content-Type": media_type} if media_type else {}
        answer = await idle_client.patch(CARD, content=b'{"url": "http://h/"}', headers=headers)
        assert answer.status_code == 200


async def test_a_post_that_a_web_form_could_send_is_refused(idle_client: httpx.AsyncClient) -> None:
    body = b'{"old_id": "a", "new_id": "b"}'
    for media_type in ("text/plain", "application/x-www-form-urlencoded; charset=utf-8", "Multipart/Form-Data"):
        answer = await idle_client.post(MIGRATE, content=body, headers={"Content-Type": media_type})
        assert outcome(answer) == (400, "INVALID_BODY")
        assert "application/json" in error_of(answer)["message"]
