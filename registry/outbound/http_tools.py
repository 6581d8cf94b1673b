"""Tools that are called by a POST with JSON."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from groundwork.http.json_body import BadJson
from groundwork.outgoing.fetch import Fetched, FetchFailed, OutgoingPolicy, fetch
from groundwork.outgoing.foreign_json import decode_foreign, parse_foreign_text
from groundwork.postgres.storable import storable
from registry.outbound.answers import read_text
from registry.outbound.failures import OutboundFailed, fetch_failed

_LONGEST_SHOWN = 300
_LONGEST_RETRY_AFTER = 3600.0
_TRY_AGAIN = (408, 425)
_NAMES_OF_ERRORS = ("code", "type", "name", "error_code")


class HttpTools:
    def __init__(self, client: httpx.AsyncClient, policy: OutgoingPolicy) -> None:
        self._client = client
        self._policy = policy

    async def call(self, url: str, given: Any, *, idempotency_key: str, seconds: float) -> Any:
        """The answer: JSON as what it says, also where it is called text and is an object or a list; any other
        text as text, None where there is none.

        Raises `OutboundFailed`. Whoever is called may be called again with the same key, after a failure or a
        crash, and is to do the same thing once.
        """
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Idempotency-Key": idempotency_key,
        }
        policy = replace(self._policy, timeout_seconds=seconds)
        content = json.dumps(given).encode()
        try:
            answer = await fetch(self._client, "POST", url, policy=policy, headers=headers, content=content)
        except FetchFailed as error:
            raise fetch_failed(error) from error
        if not 200 <= answer.status < 300:
            raise _refused(answer)
        return storable(_read(answer))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks its callers to wait; None when it does not, or in no way that can be read."""
    given = headers.get("retry-after", "").strip()
    try:
        seconds = float(given) if given.isdecimal() else _seconds_until(given, headers.get("date"))
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def _seconds_until(moment: str, sent_at: str | None) -> float:
    """Count from when the answer was sent by the clock that the moment is meant by; ours may be another one."""
    now = datetime.now(UTC) if sent_at is None else _read_date(sent_at)
    return (_read_date(moment) - now).total_seconds()


def _read_date(text: str) -> datetime:
    date = parsedate_to_datetime(text)
    return date.replace(tzinfo=date.tzinfo or UTC)


def _refused(answer: Fetched) -> OutboundFailed:
    text = _text(answer)
    told, codes = " ".join(text.split())[:_LONGEST_SHOWN], _codes(answer.status, text)
    message = storable(f"{httpx.URL(answer.url).host} answered {answer.status} {told}".strip())
    wait = retry_after(answer.headers)
    if answer.status == 429:
        return OutboundFailed(message, retryable=True, kind="rate_limit", retry_after=wait, codes=codes)
    if answer.status >= 500:
        return OutboundFailed(message, retryable=True, kind="server_error", retry_after=wait, codes=codes)
    if answer.status in _TRY_AGAIN:
        return OutboundFailed(message, retryable=True, kind="io_error", retry_after=wait, codes=codes)
    return OutboundFailed(message, retry_after=wait, codes=codes)


def _codes(status: int, text: str) -> list[str]:
    """What the error is called: by its status, and by the usual fields of an error in JSON."""
    told = read_text(text)
    errors = [told, told.get("error")] if isinstance(told, Mapping) else []
    named = (error.get(name) for error in errors if isinstance(error, Mapping) for name in _NAMES_OF_ERRORS)
    given = [told["error"]] if isinstance(told, Mapping) and isinstance(told.get("error"), str) else []
    return [str(status), *given, *(str(name) for name in named if isinstance(name, str | int))]


def _text(answer: Fetched) -> str:
    return decode_foreign(answer.body, answer.headers.get("content-type", ""))


def _read(answer: Fetched) -> Any:
    text = _text(answer)
    if not text.strip():
        return None
    if "json" not in answer.headers.get("content-type", "").lower():
        return read_text(text)
    try:
        return parse_foreign_text(text)
    except BadJson as error:
        host = httpx.URL(answer.url).host
        raise OutboundFailed(f"{host} did it, and its answer cannot be read: {error.reason}") from None
