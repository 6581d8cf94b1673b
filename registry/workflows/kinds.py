"""The kinds of nodes, each with what belongs to it, in the words of the IR; defaults are filled in."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AliasChoices, Field, model_validator
from pydantic_core import PydanticCustomError

from registry.workflows.parts import (
    Amount,
    Dotted,
    Expression,
    FunctionReference,
    Many,
    Name,
    OutputSchema,
    Part,
    Seconds,
    split_function,
)

Inputs = Annotated[dict[str, Any], Field(default_factory=dict)]
"""What a node is given: names, and what `registry.engine.mapping.resolve` makes of their values."""


class Model(Part):
    type: ClassVar = "model"
    model_ref: Name
    """A key of `Workflow.models`, else the name of a model itself."""
    prompt_ref: str = ""
    """The prompt's text. Empty: what is in `state.messages`."""
    output_schema: OutputSchema = ""
    system_prompt: str = ""
    tools: Many[dict[str, Any]] = ()

    @property
    def output_key(self) -> str | None:
        """The key of the state that the answer goes to, besides `last_model_output`."""
        return self.output_schema if self.output_schema.isidentifier() else None


class Tool(Part):
    type: ClassVar = "tool"
    tool_ref: Name
    input_mapping: Inputs
    output_schema: OutputSchema = ""


class PythonFn(Part):
    type: ClassVar = "python_fn"
    module: Dotted
    function: Dotted
    output_schema: OutputSchema = ""
    input: Inputs
    agent_tool_dispatch: bool = False


class JavaFn(Part):
    type: ClassVar = "java_fn"
    class_name: Name
    method: Name
    output_schema: OutputSchema = ""
    input: Inputs


class Branch(Part):
    """Where a condition leads; without an expression it is where everything else goes."""

    condition: Expression | None = None
    target: Name


class Condition(Part):
    """Without branches the node lets everything pass along its edges."""

    type: ClassVar = "condition"
    branches: Many[Branch] = ()


class Parallel(Part):
    """Its edges are branches too."""

    type: ClassVar = "parallel"
    branches: Many[Name] = ()


class MergeFunction(Part):
    function_ref: FunctionReference

    @property
    def module(self) -> str:
        return split_function(self.function_ref)[0]

    @property
    def function(self) -> str:
        return split_function(self.function_ref)[1]


class Join(Part):
    """`custom` is a function that a worker runs, like that of a `PythonFn`, with the outputs of the branches by
    the ids of their nodes as `{"results": {...}}`."""

    type: ClassVar = "join"
    wait_for: Many[Name] = ()
    merge_strategy: Literal["collect", "first", "custom"] = "collect"
    custom: MergeFunction | None = None

    @model_validator(mode="after")
    def _has_its_function(self) -> Self:
        if self.merge_strategy == "custom" and self.custom is None:
            raise PydanticCustomError("custom", "merge_strategy should be {example}", {"example": _CUSTOM_EXAMPLE})
        return self


_CUSTOM_EXAMPLE = '{"custom": {"function_ref": "package.module:function"}}'


class HumanApproval(Part):
    type: ClassVar = "human_approval"
    description: str = ""
    timeout_secs: Seconds | None = None
    """When absent, `Workflow.timeouts.approval_timeout`."""
    fallback_node: Name | None = None
    """Where the run goes on when nobody has decided in time; without it, it fails."""


class Wait(Part):
    type: ClassVar = "wait"
    condition: Literal["timer", "external_event", "either"] = "external_event"
    correlation_key: Name | None = None
    """None: any event."""
    timeout_secs: Seconds | None = None

    @model_validator(mode="after")
    def _timer_has_a_time(self) -> Self:
        if self.condition == "timer" and self.timeout_secs is None:
            raise PydanticCustomError("timer", "timeout_secs is required to wait for a timer")
        return self


class Subgraph(Part):
    type: ClassVar = "subgraph"
    workflow_ref: Name
    workflow_version: Name | None = None
    input_mapping: Inputs
    output_mapping: Annotated[dict[str, Name], Field(default_factory=dict)]
    """Keys of the child's state, and the keys of ours that they go to."""


class ViolationBranch(Part):
    target: Name


class PolicyCheck(Part):
    type: ClassVar = "policy"
    policy_ref: str = ""
    on_violation: Literal["fail", "warn", "branch"] = "fail"
    branch: ViolationBranch | None = None

    @model_validator(mode="after")
    def _has_its_branch(self) -> Self:
        if self.on_violation == "branch" and self.branch is None:
            raise PydanticCustomError("branch", "on_violation should be {example}", {"example": _BRANCH_EXAMPLE})
        return self


_BRANCH_EXAMPLE = '{"branch": {"target": "a node"}}'


class Finalizer(Part):
    type: ClassVar = "finalizer"
    tool_ref: Name
    run_on: Literal["success", "failure", "always"] = "always"


class AgentCall(Part):
    type: ClassVar = "agent"
    agent_ref: Name
    input_mapping: Inputs
    output_schema: OutputSchema = ""


class McpTool(Part):
    type: ClassVar = "mcp_tool"
    server: Name
    tool: Name
    input_mapping: Inputs
    output_schema: OutputSchema = ""


class A2ATask(Part):
    type: ClassVar = "a2a_task"
    remote_agent: Name
    skill: str = ""
    input_mapping: Inputs
    output_schema: OutputSchema = ""
    stream: bool = False
    on_input_required: Name | None = None
    """Where the run goes on when the agent asks for more."""
    timeout_secs: Seconds | None = None


class AgentDiscovery(Part):
    type: ClassVar = "agent_discovery"
    skill: Name
    protocol: Name | None = None
    output_binding: Name
    """The key of the state that the agent's URI goes to."""


class Spending(Part):
    max_cost_usd: Amount | None = None
    max_latency_ms: Amount | None = None


class Tiebreaker(Part):
    model: Name
    threshold: Amount
    max_candidates: Annotated[int, Field(ge=2, le=100)] = 3


class Weights(Part):
    capability_fit: Amount = 1.0
    cost_fit: Amount = 1.0
    latency_fit: Amount = 1.0
    trust_compatibility: Amount = 1.0
    historical_performance: Amount = 1.0


class Coordinator(Part):
    type: ClassVar = "coordinator"
    task: str = ""
    required_skills: Many[Name] = ()
    preferred_skills: Many[Name] = ()
    output_key: Name
    """The key of the state that the URI of the chosen agent goes to."""
    trust_domain: Name | None = None
    budget: Spending = Spending()
    tiebreaker: Tiebreaker | None = None
    strategy: Literal["default"] = "default"
    weights: Weights = Weights()
    input_mapping: Inputs


class Conversation(Part):
    max_turns: Annotated[int, Field(ge=1, le=1000)] | None = None
    max_tokens_per_turn: Annotated[int, Field(ge=1)] | None = None


class AgentTarget(Part):
    """Which agent: one by its URI, or by where in the state its URI is; else whichever fits."""

    agent: Literal["explicit", "auto"]
    explicit: Name | None = None

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if (self.agent == "explicit") != (self.explicit is not None):
            raise PydanticCustomError("agent", 'agent should be {example} or "auto"', {"example": _AGENT_EXAMPLE})
        return self


_AGENT_EXAMPLE = '{"explicit": "the URI of an agent"}'


class AgentTool(AgentTarget):
    type: ClassVar = "agent_tool"
    mode: Literal["sync", "streaming", "conversational"] = "sync"
    conversational: Conversation = Conversation()
    input_mapping: Inputs
    output_key: Name
    timeout_ms: Annotated[float, Field(gt=0, le=366 * 86_400_000)] | None = None
    budget: Spending = Spending()


class LlmJudge(Part):
    type: Literal["llm_judge"]
    model: Name
    rubric: str = ""
    min_score: Annotated[float, Field(ge=0, le=5)] = 3


class Assertion(Part):
    type: Literal["assertion"]
    checks: Many[Expression]


class Latency(Part):
    type: Literal["latency"]
    threshold_ms: Amount


class Cost(Part):
    type: Literal["cost"]
    threshold_usd: Amount


class CustomScorer(Part):
    type: Literal["custom"]
    module: Annotated[Name, Field(validation_alias=AliasChoices("module", "scorer_ref"))]
    arguments: Annotated[Inputs, Field(alias="kwargs")]


Scorer = Annotated[LlmJudge | Assertion | Latency | Cost | CustomScorer, Field(discriminator="type")]


class Eval(Part):
    type: ClassVar = "eval"
    scorers: Many[Scorer]
    on_fail: Literal["retry_with_feedback", "escalate", "halt", "log_and_continue"] = "halt"
    max_retries: Annotated[int, Field(ge=0, le=100)] = 0
    input_expr: Expression | None = None
    """What is looked at; None: what the last node gave."""


class LimitExceeded(Part):
    type: ClassVar = "limit_exceeded"
    description: str = ""


class End(Part):
    """Does nothing; the path ends there."""

    type: ClassVar = "end"


Kind = (
    Model
    | Tool
    | PythonFn
    | JavaFn
    | Condition
    | Parallel
    | Join
    | HumanApproval
    | Wait
    | Subgraph
    | PolicyCheck
    | Finalizer
    | AgentCall
    | McpTool
    | A2ATask
    | AgentDiscovery
    | Coordinator
    | AgentTool
    | Eval
    | LimitExceeded
    | End
)
