"""Everything the registry can be told from outside, read once, at start."""

import math
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from groundwork.http.hosts import is_loopback
from groundwork.http.serving import http_url
from groundwork.outgoing.urls import has_credentials, split_url
from groundwork.postgres.dsn import check_dsn, passwords_in
from groundwork.postgres.pool import PrepareThreshold

# What libpq reads: a URL, or key=value pairs. Whatever begins like one and is none is a mistake, and no path.
_POSTGRES = re.compile(r"postgres(ql)?:|\w+\s*=")

_ORIGIN = re.compile(r"https?://(?:[^\s/:@?#\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")

LogLevel = Literal["debug", "info", "warning", "error"]

OFFLINE = "offline"
"""As JAMJET_MODEL: the offline model answers whatever model a workflow names."""

_RUST_LEVELS: dict[str, LogLevel] = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "error": "error",
    "off": "error",
}


SECRET_RULE = re.compile(
    r"(?:(?P<tenant>[^/@\s]+)/)?(?P<name>[A-Za-z0-9_*?]+)@(?P<origin>https?://[^/@\s?#]+)/?", re.IGNORECASE
)
"""Whose workflows may have which variables sent where: `tenant/NAME@origin`."""


class RegistrySettings(BaseSettings):
    """The settings of one registry process, from the environment and then from `.env`.

    `docs/configuration.md` says the same in prose; a test keeps the two together.
    """

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    jamjet_bind: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    jamjet_port: Annotated[int, Field(ge=0, le=65535)] = 7700
    jamjet_public_url: str = ""
    jamjet_url: str = ""
    jamjet_token: SecretStr = SecretStr("")
    jamjet_dev_mode: bool = False
    jamjet_max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    jamjet_probe_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30
    jamjet_purge_seconds: Annotated[float, Field(gt=0, le=3650 * 86_400)] = 7 * 86_400
    execution_retention_days: Annotated[float, Field(ge=0, le=36_500)] = 0
    artifact_retention_days: Annotated[float, Field(ge=0, le=36_500)] = 0
    jamjet_worker_concurrency: Annotated[int, Field(ge=1, le=1000)] = 10
    jamjet_worker_concurrency_per_tenant: Annotated[int, Field(ge=1, le=1000)] | None = None
    jamjet_worker_queues: Annotated[tuple[str, ...], NoDecode] = ()
    jamjet_worker_lease_seconds: Annotated[float, Field(ge=1, le=600)] = 10
    jamjet_discover_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    jamjet_model: str = ""
    jamjet_model_seam_url: str = ""
    jamjet_allow_stdio_mcp: bool = False
    jamjet_secret_env: Annotated[tuple[str, ...], NoDecode] = ()
    jamjet_agent_tokens: SecretStr = SecretStr("")
    deny_private_networks: bool = False
    database_url: SecretStr = SecretStr("")
    postgres_pool_size: Annotated[int, Field(ge=2, le=200)] = 10
    postgres_prepare_threshold: Literal["auto", "none"] | Annotated[int, Field(ge=0)] = "auto"
    max_requests: Annotated[int, Field(ge=1, le=100_000)] = 200
    idempotency_hours: Annotated[int, Field(ge=1, le=24 * 365)] = 24
    shutdown_grace_seconds: Annotated[float, Field(ge=0, le=600)] = 30
    log_level: LogLevel = "info"
    rust_log: str = ""
    log_format: Literal["text", "json"] = "text"

    @model_validator(mode="before")
    @classmethod
    def _rust_log_stands_in(cls, given: dict[str, object]) -> dict[str, object]:
        """JamJet's tools set RUST_LOG, where others put levels of Rust programs: `info,hyper=debug`. What is for
        none of ours is left alone."""
        levels = [_RUST_LEVELS.get(part.strip().lower()) for part in str(given.get("rust_log", "")).split(",")]
        level = next(filter(None, levels), None)
        return {"log_level": level} | given if level else given

    @field_validator("jamjet_worker_concurrency_per_tenant", mode="before")
    @classmethod
    def _empty_is_not_set(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _ignore_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("jamjet_url", "jamjet_public_url", "jamjet_model_seam_url")
    @classmethod
    def _absolute_url(cls, value: str) -> str:
        if not value:
            return value
        if has_credentials(split_url(value)) or "?" in value or "#" in value:
            raise ValueError("must not contain credentials, a query or a fragment")
        return value.rstrip("/")

    @field_validator("jamjet_model")
    @classmethod
    def _names_a_model(cls, value: str) -> str:
        provider, _, name = value.partition(":")
        if value in ("", OFFLINE) or (provider and name and value.isprintable() and " " not in value):
            return value
        raise ValueError(
            "accepted: provider:name, such as openai:gpt-4.1-mini, for every workflow; offline; or nothing, for"
            " the models that the workflows name"
        )

    @field_validator("jamjet_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("accepted: printable ASCII without blanks, as it is sent in a header")
        return value

    @field_validator("jamjet_agent_tokens")
    @classmethod
    def _tokens_have_their_places(cls, value: SecretStr) -> SecretStr:
        for origin, token in _pairs_in(value.get_secret_value()):
            if (
                not _ORIGIN.fullmatch(origin)
                or not token
                or not token.isascii()
                or not token.isprintable()
                or " " in token
            ):
                raise ValueError(
                    "accepted: where each token goes, and the token, as in https://agents.example=secret, with"
                    " commas in between; no path, and no blank in a token"
                )
        return value

    @field_validator("jamjet_worker_queues", "jamjet_discover_allowed_hosts", "jamjet_secret_env", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("jamjet_secret_env")
    @classmethod
    def _secrets_have_their_places(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        for rule in rules:
            match = SECRET_RULE.fullmatch(rule)
            origin = split_url(match["origin"]) if match else None
            if origin is None or not (origin.scheme == "https" or is_loopback(origin.hostname or "")):
                raise ValueError(
                    f"{rule!r} does not say where the secret may go; accepted: NAME@https://host, or"
                    " tenant/NAME@https://host, with http:// for this machine only; * in a name is any text, and"
                    " as a tenant every one"
                )
        return rules

    @field_validator("database_url")
    @classmethod
    def _database_can_be_told(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if _POSTGRES.match(text):
            check_dsn(text)
        elif "://" in text and not text.startswith("sqlite:"):
            raise ValueError(
                "accepted: postgresql://user:password@host:port/database, a path, or sqlite: and a path"
            )
        elif text and _path_in(text).name in ("", ".."):
            raise ValueError("the path names no file; accepted is one such as .jamjet/runtime.db")
        return SecretStr(text)

    @model_validator(mode="after")
    def _developer_mode_stays_here(self) -> Self:
        if self.jamjet_dev_mode and not is_loopback(self.jamjet_bind):
            raise ValueError(
                f"JAMJET_BIND={self.jamjet_bind!r}: with JAMJET_DEV_MODE=true nobody is asked for a token, so only"
                " this machine may be let in; bind to 127.0.0.1, or turn JAMJET_DEV_MODE off"
            )
        return self

    @property
    def most_of_one_tenant(self) -> int:
        """How many executions of one tenant a worker has in hand, where there are several."""
        return self.jamjet_worker_concurrency_per_tenant or math.ceil(self.jamjet_worker_concurrency / 2)

    @property
    def public_url(self) -> str:
        """Where others reach the registry: what is set, else the bind address."""
        return self.jamjet_public_url or http_url(self.jamjet_bind, self.jamjet_port)

    @property
    def prepare_threshold(self) -> PrepareThreshold:
        return None if self.postgres_prepare_threshold == "none" else self.postgres_prepare_threshold

    @property
    def postgres_dsn(self) -> str:
        """The PostgreSQL that DATABASE_URL names; empty when it names a path, or nothing."""
        text = self.database_url.get_secret_value()
        return text if _POSTGRES.match(text) else ""

    @property
    def database_path(self) -> Path | None:
        """The file that DATABASE_URL names, as JamJet's tools do; None when it names PostgreSQL, or nothing."""
        text = self.database_url.get_secret_value()
        return _path_in(text) if text and not self.postgres_dsn else None

    @property
    def agent_tokens(self) -> dict[str, str]:
        """The bearer tokens for agents, by the origins that they are sent to, and no others."""
        return dict(_pairs_in(self.jamjet_agent_tokens.get_secret_value()))

    @property
    def secrets(self) -> list[str]:
        """Every configured value that may appear in no answer, log line or error."""
        tokens = [self.jamjet_token.get_secret_value(), *self.agent_tokens.values()]
        return [*filter(None, tokens), *passwords_in(self.database_url.get_secret_value())]


def _pairs_in(text: str) -> list[tuple[str, str]]:
    """`origin=token` between commas; what has no token has an empty one."""
    given = [pair.strip().partition("=") for pair in text.split(",") if pair.strip()]
    return [(origin.strip().lower(), token.strip()) for origin, _, token in given]


def _path_in(text: str) -> Path:
    """The path in an `sqlite:` URL, as SQLite's own libraries read it, or the path that the text is."""
    if not text.startswith("sqlite:"):
        return Path(text)
    return Path(unquote(text.removeprefix("sqlite:").removeprefix("//").partition("?")[0]))
