"""Whether a call of the admin API comes from the agent's own registry, and who makes it there."""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import jwt
from pydantic import BaseModel, ValidationError

from agent_runtime.registry_link.client import RegistryClient
from agent_runtime.registry_link.errors import RegistryError
from groundwork.http.admin_calls import ALGORITHM, TOKEN_SECONDS, Actor
from groundwork.http.hosts import is_loopback

_KEYS_SECONDS = 60.0
"""How long keys are used without asking again: what a key signs that was retired before is not believed."""
_PAUSE_SECONDS = 1.0
"""Tokens of unknown keys, however many, cost one request a second."""
_CLOCKS_SECONDS = TOKEN_SECONDS
"""How far the agent's clock and the registry's may be apart."""
_CLAIMS = ["aud", "exp", "iat", "sub", "role", "tenant", "url", "method", "target"]


class TokenRefused(Exception):
    """The token is none that this agent's registry has made for this very call; the message says why."""


class _Claims(BaseModel):
    sub: str
    role: str
    tenant: str
    url: str
    method: str
    target: str


class RegistryTrust:
    """Checks tokens by the registry's public keys, which are fetched when they are needed.

    `find_tenant` says which tenant of the registry the agent is of, as far as it has registered: in another tenant
    there may be an agent of the same id. A token names the address that it was sent to, so one that was sent to an
    address that somebody else has registered is of no use here.
    """

    def __init__(
        self, client: RegistryClient, agent_id: str, admin_url: str, find_tenant: Callable[[], str | None]
    ) -> None:
        self._client = client
        self._agent_id = agent_id
        self._admin_url = admin_url
        self._find_tenant = find_tenant
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def identify(self, token: str, method: str, target: str) -> Actor:
        """Return who makes the call. Raises `TokenRefused`."""
        claims = await self._read(token)
        if claims.tenant != self._find_tenant():
            raise TokenRefused("the token is for an agent of another tenant, or this one is not registered")
        if claims.url != self._admin_url:
            raise TokenRefused("the token was made for another address than this process has registered")
        if claims.method != method or unquote(claims.target) != unquote(target):
            raise TokenRefused("the token was made for another call")
        return Actor(claims.sub, claims.role, claims.tenant)

    async def _read(self, token: str) -> _Claims:
        try:
            key = await self._find_key(str(jwt.get_unverified_header(token).get("kid")))
            given: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[ALGORITHM],
                audience=self._agent_id,
                leeway=_CLOCKS_SECONDS,
                options={"require": _CLAIMS},
            )
            return _Claims.model_validate(given)
        except jwt.ExpiredSignatureError:
            raise TokenRefused("the token has run out, or the clocks differ by more than a minute") from None
        except (jwt.PyJWTError, ValidationError) as error:
            raise TokenRefused(f"the token cannot be used ({type(error).__name__})") from None

    async def _find_key(self, key_id: str) -> jwt.PyJWK:
        if self._has_to_ask(key_id):
            # Calls that come together wait for one answer: all but one would be refused for want of keys.
            async with self._fetching:
                if self._has_to_ask(key_id):
                    try:
                        self._keys = await self._fetch_keys()
                    finally:
                        self._fetched_at = time.monotonic()
        if key_id not in self._keys:
            raise TokenRefused("the token is signed with a key that the registry does not have")
        return self._keys[key_id]

    def _has_to_ask(self, key_id: str) -> bool:
        age = time.monotonic() - self._fetched_at
        return age > _KEYS_SECONDS or (key_id not in self._keys and age > _PAUSE_SECONDS)

    async def _fetch_keys(self) -> dict[str, jwt.PyJWK]:
        try:
            listed = await self._client.list_keys()
        except RegistryError as error:
            raise TokenRefused(f"the registry's keys cannot be fetched: {error}") from error
        ours = [key for key in listed if (key.get("kty"), key.get("crv")) == ("OKP", "Ed25519")]
        return {str(key.get("kid")): jwt.PyJWK(key, algorithm=ALGORITHM) for key in ours}


def may_fetch_keys(registry_url: str) -> bool:
    """Return whether nobody on the way could put a key of their own into the answer."""
    parts = urlsplit(registry_url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
