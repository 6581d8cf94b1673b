"""Everything an agent can be told from outside, read once, at start."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agent_runtime.memory.config import MemoryConfig
from groundwork.outgoing.urls import has_credentials, split_url
from groundwork.postgres.dsn import check_dsn, passwords_in

_HOST = re.compile(r"\[[0-9a-fA-F:.]+\](:\d{1,5})?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*|[^:\[\]/@?#\\\s]+(:\d{1,5})?")
_ORIGIN = re.compile(r"https?://[^/\s@?#]+")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


PREFIXED = ("host", "port", "model")
"""Settings whose names projects use for themselves. The variable with `AGENT_` before the name is read first."""


class _Prefixed(PydanticBaseSettingsSource):
    """What `AGENT_HOST`, `AGENT_PORT` and `AGENT_MODEL` say: it holds also where it stands in `.env`, and the name
    without the prefix in the environment."""

    def __init__(self, kind: type[BaseSettings], *sources: PydanticBaseSettingsSource) -> None:
        super().__init__(kind)
        self._sources = [source for source in sources if isinstance(source, EnvSettingsSource)]

    def __call__(self) -> dict[str, Any]:
        values = {name: self.find(f"agent_{name}") for name in PREFIXED}
        # An empty AGENT_MODEL says that no model is wanted, whatever MODEL is; the others say nothing then.
        return {name: value for name, value in values.items() if value or (value == "" and name == "model")}

    def find(self, variable: str) -> str | None:
        """Return what the environment says, or else the file."""
        found = (source.env_vars[variable] for source in self._sources if variable in source.env_vars)
        return next(found, None)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False


class AgentSettings(BaseSettings):
    """The settings of one agent process, from the environment and then from `.env`.

    `docs/configuration.md` says the same in prose; a test keeps the two together.
    """

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    agent_id: str | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    public_agent_url: str = ""
    postgres_dsn: SecretStr = SecretStr("")
    postgres_pool_size: Annotated[int, Field(ge=2, le=200)] = 10
    postgres_prepare_threshold: Literal["auto", "none"] | Annotated[int, Field(ge=0)] = "auto"
    memory_enabled: bool = True
    memory_backend: Literal["postgres", "memory"] = "postgres"
    memory_summarize: bool = False
    memory_window_size: Annotated[int, Field(ge=1, le=10_000)] = 20
    memory_summarize_threshold: Annotated[int, Field(ge=1, le=100_000)] = 40
    model: str = ""
    model_base_url: str = ""
    registry_url: str = ""
    registry_token: SecretStr = SecretStr("")
    registry_heartbeat_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 10
    registry_auto_reload: bool = True
    component_commands_enabled: bool = True
    internal_runtime_control_enabled: bool = False
    admin_token: SecretStr = SecretStr("")
    admin_tokens: SecretStr = SecretStr("")
    admin_allow_unauthenticated: bool = False
    admin_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    admin_host: str = ""
    admin_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    admin_url: str = ""
    admin_trust_registry: bool | None = None
    admin_max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    a2a_tokens: SecretStr = SecretStr("")
    a2a_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    a2a_max_body_bytes: Annotated[int, Field(ge=1024)] = 10 * 1024 * 1024
    langgraph_api: bool = True
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    max_turns: Annotated[int, Field(ge=1, le=100_000)] = 100
    max_turns_per_caller: Annotated[int, Field(ge=1, le=100_000)] | None = None
    max_turn_seconds: Annotated[float, Field(gt=0, le=30 * 86_400)] = 3600
    max_requests: Annotated[int, Field(ge=1, le=100_000)] = 200
    checkpoint_durability: Literal["sync", "async", "exit"] = "async"
    checkpoint_retention: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    idempotency_hours: Annotated[int, Field(ge=1, le=24 * 365)] = 24
    turn_history_days: Annotated[int, Field(ge=1, le=3650)] = 30
    thread_ttl_days: Annotated[float, Field(ge=0, le=36_500)] = 0
    conversation_cache_mb: Annotated[int, Field(ge=0, le=65_536)] = 32
    turn_lease_seconds: Annotated[float, Field(ge=0.5, le=600)] = 10
    shutdown_grace_seconds: Annotated[float, Field(ge=0, le=600)] = 30
    deny_private_networks: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        prefixed = _Prefixed(settings_cls, env_settings, dotenv_settings)
        return init_settings, prefixed, env_settings, dotenv_settings, file_secret_settings

    @classmethod
    def variable_of(cls, name: str) -> str:
        """Return the name of the variable that the setting is taken from, or would be."""
        if name not in PREFIXED:
            return name.upper()
        prefixed = _Prefixed(cls, EnvSettingsSource(cls), DotEnvSettingsSource(cls))
        is_plain = name not in prefixed() and prefixed.find(name) is not None
        return name.upper() if is_plain else f"AGENT_{name.upper()}"

    @field_validator("agent_id", "admin_port", "admin_trust_registry", "max_turns_per_caller", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("agent_id")
    @classmethod
    def _agent_id_is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not is_identifier(value):
            raise ValueError("1 to 255 printable characters without blanks or slashes")
        return value

    @field_validator("admin_allowed_hosts", "a2a_allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return (
            tuple(host.strip() for host in value.split(",") if host.strip()) if isinstance(value, str) else value
        )

    @field_validator("admin_allowed_hosts", "a2a_allowed_hosts")
    @classmethod
    def _hosts_are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"{host!r} is not a host; accepted: names or addresses, each with or without :port"
                )
        return hosts

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_whole(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not an origin; accepted: scheme://host[:port], or *")
        return origins

    @field_validator("log_level", "log_format", "checkpoint_durability", "memory_backend", mode="before")
    @classmethod
    def _ignore_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("public_agent_url", "registry_url", "model_base_url", "admin_url")
    @classmethod
    def _absolute_url(cls, value: str) -> str:
        return check_public_url(value) if value else value

    @field_validator("registry_url", "admin_url")
    @classmethod
    def _paths_can_follow(cls, value: str) -> str:
        if "?" in value:
            raise ValueError("must not have a query; accepted is a URL with or without a path")
        return value

    @field_validator("registry_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("accepted: printable ASCII without blanks, as it is sent in a header")
        return value

    @field_validator("postgres_dsn")
    @classmethod
    def _dsn_can_be_read(cls, value: SecretStr) -> SecretStr:
        check_dsn(value.get_secret_value())
        return value

    @field_validator("model")
    @classmethod
    def _provider_and_name(cls, value: str) -> str:
        if value and not all(value.partition(":")[::2]):
            raise ValueError(
                "provider:name, such as openai:gpt-4.1-mini, or empty for the offline model;"
                " AGENT_MODEL is read before MODEL"
            )
        return value

    @field_validator("a2a_tokens", "admin_tokens")
    @classmethod
    def _users_and_tokens(cls, value: SecretStr) -> SecretStr:
        parse_tokens(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _no_open_admin_api(self) -> Self:
        address = self.admin_address[0]
        if address in LOOPBACK_HOSTS or self.admin_names or self.admin_allow_unauthenticated:
            return self
        variable = "ADMIN_HOST" if self.admin_host else self.variable_of("host")
        raise ValueError(
            f"{variable}={address!r}: the admin API would be open to everybody there; set ADMIN_TOKEN, or bind to"
            " 127.0.0.1, or say ADMIN_ALLOW_UNAUTHENTICATED=true"
        )

    def named_after(self, directory: Path) -> Self:
        """Return these settings with the name of the project's directory for an AGENT_ID that is not set.

        One that is set to nothing says that the agent has no id.
        """
        name = re.sub(r"[\s\\]+", "-", directory.resolve().name)
        if "agent_id" in self.model_fields_set or not is_identifier(name):
            return self
        return self.model_copy(update={"agent_id": name})

    @property
    def memory(self) -> MemoryConfig:
        return MemoryConfig(self.memory_summarize, self.memory_window_size, self.memory_summarize_threshold)

    @property
    def most_of_one_caller(self) -> int:
        """How many turns one caller may have in hand: half of all, unless MAX_TURNS_PER_CALLER says otherwise."""
        return self.max_turns_per_caller or max(1, self.max_turns // 2)

    @property
    def prepare_threshold(self) -> int | Literal["auto"] | None:
        return None if self.postgres_prepare_threshold == "none" else self.postgres_prepare_threshold

    @property
    def admin_address(self) -> tuple[str, int]:
        """Where the admin API listens; the agent's own address unless ADMIN_HOST or ADMIN_PORT says otherwise."""
        return self.admin_host or self.host, self.port if self.admin_port is None else self.admin_port

    @property
    def admin_has_own_listener(self) -> bool:
        return self.admin_address != (self.host, self.port)

    @property
    def trusts_registry(self) -> bool:
        """Whether calls of the admin API are admitted that the registry has signed."""
        if self.admin_trust_registry is None:
            return bool(self.registry_url and self.registry_token.get_secret_value())
        return self.admin_trust_registry and bool(self.registry_url)

    @property
    def a2a_callers(self) -> dict[str, str]:
        """Token to user name; empty when callers are anonymous."""
        return parse_tokens(self.a2a_tokens.get_secret_value())

    @property
    def admin_names(self) -> dict[str, str]:
        """Admin token to its name; empty when the admin API asks for none."""
        alone = self.admin_token.get_secret_value()
        return parse_tokens(self.admin_tokens.get_secret_value()) | ({alone: "ADMIN_TOKEN"} if alone else {})

    @property
    def secrets(self) -> list[str]:
        """Every configured value that may appear in no answer, log line or error."""
        tokens = filter(None, [self.registry_token.get_secret_value()])
        return [*tokens, *self.admin_names, *self.a2a_callers, *passwords_in(self.postgres_dsn.get_secret_value())]


def is_identifier(value: str) -> bool:
    """Whether `value` can be an agent id: 1–255 printable characters, no blanks, no slashes."""
    return 1 <= len(value) <= 255 and value.isprintable() and not any(c.isspace() or c in "/\\" for c in value)


def check_public_url(url: str) -> str:
    """Returns `url` when it can stand on an agent card, else raises `ValueError` saying what is accepted."""
    if has_credentials(split_url(url)):
        raise ValueError("must not contain credentials")
    if "#" in url:
        raise ValueError("must not contain a fragment")
    return url


def parse_tokens(text: str) -> dict[str, str]:
    """Reads `user=token,user=token` into token to user. Raises `ValueError`, without repeating a token."""
    callers: dict[str, str] = {}
    for number, pair in enumerate(filter(None, (pair.strip() for pair in text.split(","))), start=1):
        user, separator, token = pair.partition("=")
        if not (user.strip() and separator and token.strip()):
            raise ValueError(f"entry {number} is not user=token; accepted is user=token,user=token")
        if token.strip() in callers:
            raise ValueError(f"entry {number} repeats another entry's token; every user needs one of their own")
        callers[token.strip()] = user.strip()
    return callers
