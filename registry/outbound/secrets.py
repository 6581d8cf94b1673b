"""The secrets that workflows name: read where the operator allows it, and sent where they are meant to go."""

import asyncio
import base64
import fnmatch
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote

import httpx

from groundwork.outgoing.fetch import FetchFailed, OutgoingPolicy, fetch
from groundwork.outgoing.masking import Mask
from registry.access import PLATFORM_TENANT
from registry.agents.cards import origin_of
from registry.outbound.failures import OutboundFailed, fetch_failed
from registry.settings import SECRET_RULE
from registry.workflows.specs import Auth

_EARLY_SECONDS = 30.0
"""A token is not used in the last moments of its life."""
_SHORT_LIFE_SECONDS = 300.0
"""Of a token that does not say when it expires."""


@dataclass(frozen=True)
class Credentials:
    """Headers that let a caller in, at one origin and nowhere else."""

    origin: tuple[str, str | None, int | None] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    mask: Mask = field(default_factory=Mask, repr=False)

    def for_url(self, url: str) -> Mapping[str, str]:
        return self.headers if self.origin is not None and origin_of(url) == self.origin else {}


@dataclass(frozen=True)
class SecretRule:
    """What `tenant/NAME@origin` says: which tenant's workflows may have which variables sent where."""

    tenant_id: str
    name: re.Pattern[str]
    origin: tuple[str, str | None, int | None]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what the settings have checked. Without a tenant it is `default`; `*` is every one."""
        match = SECRET_RULE.fullmatch(text)
        assert match is not None, "the settings refuse others"
        name = re.compile(fnmatch.translate(match["name"]))
        return cls(match["tenant"] or PLATFORM_TENANT, name, origin_of(match["origin"]))

    def is_about(self, name: str, tenant_id: str) -> bool:
        return self.tenant_id in ("*", tenant_id) and self.name.fullmatch(name) is not None


class Secrets:
    """Reads no variable of the environment but those that the operator has allowed for the tenant, and sends it to
    the origins that it is for: who writes a workflow chooses neither."""

    def __init__(self, allowed: Sequence[str], client: httpx.AsyncClient, policy: OutgoingPolicy) -> None:
        self._rules = [SecretRule.parse(text) for text in allowed]
        self._client = client
        self._policy = policy
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    async def credentials(self, auth: Auth | None, url: str, tenant_id: str) -> Credentials:
        """For the server at `url`, when a workflow of the tenant calls it. Raises `OutboundFailed`."""
        if auth is None:
            return Credentials()
        if auth.type == "api_key":
            assert auth.header is not None
            key = self._read(auth.key_env, url, tenant_id)
            return Credentials(origin_of(url), {auth.header: key}, Mask([key]))
        if auth.type == "bearer":
            token = self._read(auth.token_env, url, tenant_id)
        else:
            # What is got for the secret is as good as the secret: it goes nowhere else, either.
            self._read(auth.client_secret_env, url, tenant_id)
            token = await self._ask_for_token(auth, tenant_id)
        return Credentials(origin_of(url), {"Authorization": f"Bearer {token}"}, Mask([token]))

    def _read(self, name: str | None, url: str, tenant_id: str) -> str:
        assert name is not None, "an Auth has the names that its type needs"
        rules = [rule for rule in self._rules if rule.is_about(name, tenant_id)]
        if not rules:
            raise OutboundFailed(f"workflows may not read {name}: it is not among JAMJET_SECRET_ENV")
        if origin_of(url) not in {rule.origin for rule in rules}:
            raise OutboundFailed(
                f"{name} is not for {httpx.URL(url).host}: JAMJET_SECRET_ENV has it for elsewhere"
            )
        value = os.environ.get(name, "").strip()
        if not value:
            raise OutboundFailed(f"the environment variable {name} is not set where the worker runs")
        if not value.isascii() or not value.isprintable():
            raise OutboundFailed(f"the environment variable {name} has characters that no header can have")
        return value

    async def _ask_for_token(self, auth: Auth, tenant_id: str) -> str:
        """A token by OAuth 2's client credentials, kept for as long as it lives."""
        assert auth.token_url is not None
        client_id = self._read(auth.client_id_env, auth.token_url, tenant_id)
        client_secret = self._read(auth.client_secret_env, auth.token_url, tenant_id)
        now = asyncio.get_running_loop().time()
        token, expires_at = self._tokens.get((auth.token_url, client_id), ("", 0.0))
        if now < expires_at:
            return token
        basic = base64.b64encode(f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}".encode()).decode()
        token, seconds = await self._fetch_token(auth.token_url, f"Basic {basic}")
        self._tokens[auth.token_url, client_id] = token, now + seconds - _EARLY_SECONDS
        return token

    async def _fetch_token(self, url: str, authorization: str) -> tuple[str, float]:
        headers = {
            "Authorization": authorization,
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        content = b"grant_type=client_credentials"
        try:
            answer = await fetch(self._client, "POST", url, policy=self._policy, headers=headers, content=content)
        except FetchFailed as error:
            raise fetch_failed(error) from error
        host = httpx.URL(url).host
        if answer.status != 200:
            retryable = answer.status >= 500
            kind = "server_error" if retryable else "error"
            raise OutboundFailed(f"{host} gave no token: {answer.status}", retryable=retryable, kind=kind)
        try:
            told = json.loads(answer.body)
            return str(told["access_token"]), float(told.get("expires_in") or _SHORT_LIFE_SECONDS)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise OutboundFailed(f"{host} gave no token: its answer makes no sense") from None


class AgentTokens:
    """The bearer tokens of registered agents, by the origins that the operator has given them for."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self.replace(tokens)

    def replace(self, tokens: Mapping[str, str]) -> None:
        """Use these from the next call on."""
        self._tokens = {origin_of(origin): token for origin, token in tokens.items()}

    def credentials(self, url: str) -> Credentials:
        token = self._tokens.get(origin_of(url))
        if token is None:
            return Credentials()
        return Credentials(origin_of(url), {"Authorization": f"Bearer {token}"}, Mask([token]))
