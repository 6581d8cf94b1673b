"""What a workflow says besides its nodes and edges: how often to try, whom to ask, how long, how much at most."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from registry.workflows.parts import (
    Amount,
    Count,
    Delay,
    EnvironmentName,
    ErrorClass,
    Many,
    Name,
    Part,
    Seconds,
    Url,
    is_function,
    is_url,
)


class Policy(Part):
    """Patterns of names with `*` and `?`. What is blocked is blocked, though somebody might approve of it."""

    blocked_tools: Many[str] = ()
    require_approval_for: Many[str] = ()
    model_allowlist: Many[str] = ()
    """When empty, every model is allowed."""


class RetryPolicy(Part):
    max_attempts: Annotated[int, Field(ge=1, le=100)]
    """With the first."""
    backoff: Literal["fixed", "linear", "exponential"] = "exponential"
    initial_delay: Delay = 1.0
    max_delay: Delay = 30.0
    jitter: bool = True
    retryable_on: Many[ErrorClass] = ()
    """Classes of errors, and codes or names of errors (see `registry.engine.retries`); when empty, all errors."""

    def delay_before(self, attempt: int) -> float:
        """The seconds between the attempt before and this one, which is at least the second; without jitter."""
        retry = attempt - 1
        growth = {"fixed": 1.0, "linear": float(retry), "exponential": 2.0 ** min(retry - 1, 60)}
        return min(self.initial_delay * growth[self.backoff], self.max_delay)


DEFAULT_RETRIES = RetryPolicy(max_attempts=3)
"""For nodes that name no policy."""

BUILTIN_RETRIES: Mapping[str, RetryPolicy] = {
    "no_retry": RetryPolicy(max_attempts=1, backoff="fixed", initial_delay=0.0, max_delay=0.0, jitter=False),
    "fast": RetryPolicy(max_attempts=2, backoff="fixed", initial_delay=0.1, max_delay=0.1, jitter=False),
    "llm_default": RetryPolicy(max_attempts=3, initial_delay=2.0, max_delay=60.0),
    "io_default": RetryPolicy(max_attempts=5),
}


class ModelSpec(Part):
    provider: str = ""
    model: Name
    timeout_secs: Seconds | None = None
    retry_policy: str | None = None
    temperature: Annotated[float, Field(ge=0, le=10)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None

    @property
    def model_id(self) -> str:
        return f"{self.provider}/{self.model}" if self.provider else self.model


class ToolSpec(Part):
    """`kind` is None where a document only describes the tool."""

    kind: Literal["python", "http", "grpc", "mcp"] | None = None
    reference: str = ""
    """Of `python` a function as `package.module:function`, of `http` a URL."""
    input_schema: Any = None
    output_schema: Any = None
    permissions: Many[str] = ()

    @model_validator(mode="after")
    def _can_be_called(self) -> Self:
        if self.kind == "python" and not is_function(self.reference):
            raise PydanticCustomError("reference", "reference should be like package.module:function")
        if self.kind == "http" and not is_url(self.reference):
            raise PydanticCustomError(
                "reference", "reference should be an absolute URL with a host, without credentials"
            )
        return self


class Auth(Part):
    """How a server is asked to let us in. Secrets are named by the environment variables that hold them."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["bearer", "api_key", "oauth2"]
    token_env: EnvironmentName | None = None
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")] | None = None
    key_env: EnvironmentName | None = None
    client_id_env: EnvironmentName | None = None
    client_secret_env: EnvironmentName | None = None
    token_url: Url | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        needed = {
            "bearer": ("token_env",),
            "api_key": ("header", "key_env"),
            "oauth2": ("client_id_env", "client_secret_env", "token_url"),
        }[self.type]
        if missing := [name for name in needed if getattr(self, name) is None]:
            raise PydanticCustomError("missing_names", "{names} required", {"names": " and ".join(missing)})
        return self


class McpServerSpec(Part):
    transport: Literal["stdio", "http_sse", "web_socket"]
    command: Name | None = None
    args: Many[str] = ()
    url: Url | None = None
    auth: Auth | None = None

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        needed = "command" if self.transport == "stdio" else "url"
        if getattr(self, needed) is None:
            raise PydanticCustomError("missing_names", "{needed} is required", {"needed": needed})
        return self


class RemoteAgentSpec(Part):
    url: Url
    agent_card_path: str = ""
    auth: Auth | None = None


class Timeouts(Part):
    """In seconds."""

    node_timeout: Seconds | None = None
    workflow_timeout: Seconds | None = None
    heartbeat_interval: Seconds | None = None
    approval_timeout: Seconds | None = None


class TokenBudget(Part):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None


class StrategyLimits(Part):
    max_iterations: Count | None = None
    max_cost_usd: Amount | None = None
    timeout_seconds: Seconds | None = None


class StrategyMetadata(Part):
    strategy_name: str = ""
    limits: StrategyLimits = StrategyLimits()


class DataPolicy(Part):
    pii_fields: Many[str] = ()
    pii_detectors: Many[str] = ()
    redaction_mode: str = "mask"
    retain_prompts: bool = True
    retain_outputs: bool = True
