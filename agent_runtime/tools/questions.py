"""What an MCP server asks in the middle of a call (elicitation): a question of the task, and its answer.

LangGraph ends a run that asks and begins the node again with the answer. The call stays open meanwhile, in the
process that made it, and what it has come to is fetched by the same call of the node that began again.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from langchain_core.runnables import RunnableConfig
from langgraph.types import interrupt
from mcp.types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult

from groundwork.outgoing.mcp_results import ToolResult
from groundwork.outgoing.mcp_session import DECLINED, Ask

LONGEST_WAIT_SECONDS = 3600.0
"""How long a call waits for the answer to a question; the server is then told that nobody answered."""

_MOST_OPEN = 500
_CANCELLED = ElicitResult(action="cancel")
_ACTIONS: Mapping[str, str] = {
    **dict.fromkeys(("decline", "no", "reject", "deny"), "decline"),
    **dict.fromkeys(("cancel", "abort"), "cancel"),
    **dict.fromkeys(("accept", "yes", "ok", "approve"), "accept"),
}
_YES_NO: Mapping[str, bool] = {"yes": True, "true": True, "no": False, "false": False}

# How LangGraph hands a task its place; there is no public way to ask whether a run can be interrupted at all.
_CHECKPOINTER, _TASK, _NAMESPACE = "__pregel_checkpointer", "__pregel_task_id", "checkpoint_ns"
_SCRATCHPAD, _INTERRUPT = "__pregel_scratchpad", "__interrupt__"

CallKey = tuple[str, str]
"""The thread and the id of the tool call."""


class OutcomeLost(Exception):
    """The call asked something, and the process that held it is gone, or is another one."""


class _OpenCall:
    """A call that runs by itself, and what its server has asked so far."""

    def __init__(self, server: str, tool: str) -> None:
        self.task: asyncio.Task[ToolResult]
        self.asked = asyncio.Event()
        self.questions: list[dict[str, Any]] = []
        self._server = server
        self._tool = tool
        self._schema: dict[str, Any] = {}
        self._answer: asyncio.Future[ElicitResult] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, params: ElicitRequestParams) -> ElicitResult:
        """Put the question, and wait for the answer."""
        async with self._one_at_a_time:
            self._answer = asyncio.get_running_loop().create_future()
            self._schema = params.requestedSchema if isinstance(params, ElicitRequestFormParams) else {}
            url = {} if isinstance(params, ElicitRequestFormParams) else {"url": params.url}
            self._put({"message": params.message, **url})
            try:
                async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                    return await self._answer
            except TimeoutError:
                return _CANCELLED
            finally:
                self._answer = None

    def take(self, spoken: Any) -> None:
        """Hand on the answer, or ask again where it is none that the server would take."""
        if self._answer is None or self._answer.done():
            return
        try:
            self._answer.set_result(read_answer(spoken, self._schema))
        except ValueError as error:
            self._put({"message": f"That cannot be taken: {error}. {self.questions[-1]['message']}"})

    def _put(self, question: dict[str, Any]) -> None:
        known = {"server": self._server, "tool": self._tool, "accepted": accepted(self._schema)}
        schema = {"requestedSchema": self._schema} if self._schema else {}
        self.questions.append({**question, **known, **schema})
        self.asked.set()


class OpenCalls:
    """The calls of one server that may wait for an answer to something that it asked."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._open: dict[CallKey, _OpenCall] = {}

    async def make(
        self,
        tool: str,
        call_id: str | None,
        config: RunnableConfig,
        call: Callable[[Ask | None], Awaitable[ToolResult]],
    ) -> ToolResult:
        """Make the call, or go on with the one that was made before the run was interrupted.

        Raises `OutcomeLost`, and what LangGraph's `interrupt` raises.
        """
        configurable = config.get("configurable", {})
        if call_id is None or not configurable.get(_CHECKPOINTER) or not configurable.get(_SCRATCHPAD):
            return await call(None)  # nobody can be asked here
        key = (str(configurable.get("thread_id")), call_id)
        asked_before = await _questions_before(configurable, call_id)
        opened = self._open.pop(key, None)
        if asked_before and opened is None:
            for _ in range(asked_before):
                interrupt(None)  # takes the answers, which are nobody else's
            raise OutcomeLost
        if opened is not None and not asked_before:
            opened.task.cancel()  # of an earlier message, under an id that is used again
            opened = None
        if opened is None:
            opened = _OpenCall(self._server, tool)
            opened.task = asyncio.create_task(_result(call(opened.ask)), name=f"mcp-call {self._server}")
        else:
            answers = [interrupt(question) for question in opened.questions[:asked_before]]
            opened.take(answers[-1])
        return await self._until_it_asks(key, opened, asked_before)

    async def _until_it_asks(self, key: CallKey, opened: _OpenCall, asked_before: int) -> ToolResult:
        while True:
            if len(opened.questions) > asked_before:
                self._keep(key, opened)
                interrupt(opened.questions[asked_before] | {"question": f"{key[1]}#{asked_before + 1}"})
                raise AssertionError("a question that has not been asked has no answer")
            opened.asked.clear()
            asked = asyncio.ensure_future(opened.asked.wait())
            try:
                await asyncio.wait({opened.task, asked}, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                opened.task.cancel()
                raise
            finally:
                asked.cancel()
            if opened.task.done():
                return opened.task.result()

    def _keep(self, key: CallKey, opened: _OpenCall) -> None:
        self._open[key] = opened
        if len(self._open) > _MOST_OPEN:
            self._open.pop(next(iter(self._open))).task.cancel()


async def _result(call: Awaitable[ToolResult]) -> ToolResult:
    return await call


async def _questions_before(configurable: Mapping[str, Any], call_id: str) -> int:
    """Return how many questions of this call the task has been interrupted with, in whichever process."""
    scratchpad = configurable[_SCRATCHPAD]
    if not scratchpad.resume and scratchpad.get_null_resume(False) is None:
        return 0
    namespace = str(configurable.get(_NAMESPACE, "")).rpartition("|")[0]
    place = {"thread_id": configurable.get("thread_id"), "checkpoint_ns": namespace}
    stored = await configurable[_CHECKPOINTER].aget_tuple({"configurable": place})
    for task, channel, value in (stored.pending_writes if stored else None) or ():
        if task == configurable.get(_TASK) and channel == _INTERRUPT:
            for one in value if isinstance(value, list | tuple) else [value]:
                asked = getattr(one, "value", None)
                known, _, number = (
                    str(asked.get("question", "")).rpartition("#") if isinstance(asked, dict) else ("",) * 3
                )
                if known == call_id:
                    return int(number)
    return 0


def accepted(schema: Mapping[str, Any]) -> str:
    """Return in words what may be answered."""
    fields = schema.get("properties", {})
    required = schema.get("required", [])
    named = [
        f"{name} ({_kind(field)}{'' if name in required else ', optional'})" for name, field in fields.items()
    ]
    answer = f"an object with {', '.join(named)}" if named else "accept"
    return f"{answer}; or decline, or cancel"


def read_answer(spoken: Any, schema: Mapping[str, Any]) -> ElicitResult:
    """Return the answer in MCP's terms. Raises `ValueError`, with what is accepted, for one that does not fit."""
    given = _parsed(spoken)
    fields: Mapping[str, Any] = schema.get("properties", {})
    if (
        isinstance(given, dict)
        and given.get("action") in ("accept", "decline", "cancel")
        and "action" not in fields
    ):
        if given["action"] != "accept":
            return DECLINED if given["action"] == "decline" else _CANCELLED
        given = given.get("content") or {}
    if isinstance(given, str):
        only = next(iter(fields)) if len(fields) == 1 else None
        action = _ACTIONS.get(given.strip().lower())
        answers_field = only is not None and fields[only].get("type") == "boolean" and given.lower() in _YES_NO
        if action in ("decline", "cancel") and not answers_field:
            return DECLINED if action == "decline" else _CANCELLED
        if action == "accept" and not fields:
            return ElicitResult(action="accept", content={})
        given = {only: given.strip()} if only is not None else given
    elif not isinstance(given, dict) and len(fields) == 1:
        given = {next(iter(fields)): given}
    if not isinstance(given, dict):
        raise ValueError(f"accepted is {accepted(schema)}")
    content = {name: _converted(value, fields.get(name, {})) for name, value in given.items()}
    for error in Draft202012Validator(dict(schema)).iter_errors(content):
        place = ".".join(str(step) for step in error.absolute_path)
        raise ValueError(f"{place + ': ' if place else ''}{error.message}; accepted is {accepted(schema)}")
    return ElicitResult(action="accept", content=content)


def _parsed(spoken: Any) -> Any:
    if not isinstance(spoken, str) or not spoken.strip().startswith("{"):
        return spoken
    try:
        return json.loads(spoken)
    except (ValueError, RecursionError):
        return spoken


def _converted(value: Any, field: Mapping[str, Any]) -> Any:
    """A text where the field has a number or a yes: people type what they mean."""
    if not isinstance(value, str):
        return value
    match field.get("type"):
        case "boolean":
            return _YES_NO.get(value.strip().lower(), value)
        case "integer" | "number":
            try:
                return json.loads(value, parse_constant=lambda _: value)
            except ValueError:
                return value
    return value


def _kind(field: Mapping[str, Any]) -> str:
    choices = field.get("enum") or [option.get("const") for option in field.get("oneOf", [])]
    return "one of " + ", ".join(map(str, choices)) if choices else str(field.get("type", "anything"))
