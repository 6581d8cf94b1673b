"""What a graph waits for when it has stopped on its way: how that is asked, and what an answer becomes."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph import errors as langgraph_errors
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt, StateSnapshot

from agent_runtime.graph.outputs import Data, NeedsInput, Part, Text
from agent_runtime.turns.types import TurnRequest

_INTERRUPT_ID = re.compile(r"[0-9a-f]{32}")
_LONGEST_PROBLEM = 500

is_invalid_resume = getattr(langgraph_errors, "is_invalid_resume", lambda error: False)
"""Whether LangGraph has refused an answer by the `response_schema` of its question; older ones have none."""


class AnswerRefused(Exception):
    """An answer that is not of the form that its question takes. The question stays open."""


@dataclass(frozen=True)
class Pause:
    """A stop of a graph: at questions, in the order of its state, or else before `nodes`, at a breakpoint."""

    questions: tuple[Interrupt, ...]
    nodes: tuple[str, ...]

    def ask(self, problem: str = "") -> NeedsInput:
        """Return what the caller is asked, after what was wrong with the answer before."""
        before: list[Part] = [Text(problem)] if problem else []
        return NeedsInput((*before, *self._parts()))

    def resume(self, request: TurnRequest) -> Command[Any] | None:
        """Return what the graph goes on with. Raise `AnswerRefused` when the questions do not take the answer.

        A breakpoint asks for nothing, so what is said there is not passed on.
        """
        if not self.questions:
            return None
        answers = list(_assign(self.questions, _spoken(request)))
        return Command(resume={question.id: _check(question, answer) for question, answer in answers})

    def _parts(self) -> list[Part]:
        if not self.questions:
            nodes = ", ".join(self.nodes)
            return [Text(f"Stopped before {nodes}. Any answer goes on there; cancel the task to leave it undone.")]
        values = [_plain(question.value) for question in self.questions]
        texts: list[Part] = [Text(_readable(value)) for value in values]
        if len(values) > 1:
            how = (
                f"{len(values)} questions are open. A plain answer is for the first one; a data part answers more:"
                " a list with an answer for each, or an object with answers by id."
            )
            listed = [
                {"id": question.id, "question": value}
                for question, value in zip(self.questions, values, strict=True)
            ]
            return [*texts, Text(how), Data({"questions": listed})]
        return texts if isinstance(values[0], str) else [*texts, Data(values[0])]


def pause_of(state: StateSnapshot) -> Pause | None:
    """Return what the graph waits for in this state; `None` when nothing is left to be done."""
    if state.interrupts or state.next:
        return Pause(tuple(state.interrupts), tuple(_nodes(state)))
    return None


async def reached_breakpoint(graph: Pregel[Any, Any, Any, Any], state: StateSnapshot, turn_id: int) -> bool:
    """Whether the turn has come to a breakpoint of the graph, or of a graph in it, and nobody has gone on from it.

    `state` is that of `graph` with its subgraphs. Going on from there is an answer's to say, not that of a process
    that takes the turn over.
    """

    async def is_reached(part: Any, state: StateSnapshot) -> bool:
        if not isinstance(part, Pregel) or not state.next:
            return False
        if (state.metadata or {}).get("turn_id") == turn_id:
            if _named(part.interrupt_before_nodes, state.next):
                return True
            if part.interrupt_after_nodes and state.parent_config:
                done = (await graph.aget_state(state.parent_config)).next
                if _named(part.interrupt_after_nodes, done):
                    return True
        inner = dict(part.get_subgraphs())
        for task in state.tasks:
            if isinstance(task.state, StateSnapshot) and await is_reached(inner.get(task.name), task.state):
                return True
        return False

    return await is_reached(graph, state)


def _named(breakpoints: Iterable[str], nodes: Iterable[str]) -> bool:
    visible = {node for node in nodes if not node.startswith("__")}
    return bool(visible) if breakpoints == "*" else not visible.isdisjoint(breakpoints)


def _nodes(state: StateSnapshot) -> Iterator[str]:
    """The nodes that come next, each once, those of subgraphs behind the node that the subgraph is."""
    seen = set()
    for task in state.tasks:
        if task.name in state.next and isinstance(task.state, StateSnapshot) and task.state.next:
            names = [f"{task.name}/{inner}" for inner in _nodes(task.state)]
        else:
            names = [task.name] if task.name in state.next else []
        yield from (name for name in names if name not in seen)
        seen.update(names)


def _plain(value: Any) -> Any:
    return value.text if isinstance(value, Text) else value.value if isinstance(value, Data) else value


def _readable(value: Any) -> str:
    """A question in text, for those who show nothing else."""
    if isinstance(value, str):
        return value
    if requests := tool_approvals(value):
        asked = [str(request.get("description") or _readable(request)) for request in requests]
        return "\n\n".join([*asked, f"Accepted: {', '.join(common_decisions(value))}."])
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_readable(item)}" for key, item in value.items())
    return json.dumps(value, ensure_ascii=False, default=str)


def _spoken(request: TurnRequest) -> Any:
    """What was answered: the text of the message, or its value when it is a single data part."""
    data = request.message.additional_kwargs.get("a2a", {}).get("data", [])
    plain = isinstance(request.message.content, str) and request.message.content
    said = data[0] if len(data) == 1 and not plain else str(request.message.text)
    return said["resume"] if isinstance(said, Mapping) and said.keys() == {"resume"} else said


def _assign(questions: Sequence[Interrupt], said: Any) -> Iterable[tuple[Interrupt, Any]]:
    """Which question is answered with what."""
    if isinstance(said, Mapping) and said and all(_INTERRUPT_ID.fullmatch(str(key)) for key in said):
        known = {question.id: question for question in questions}
        if unknown := sorted(said.keys() - known.keys()):
            raise AnswerRefused(f"No open question has the id {unknown[0]}; open are: {', '.join(known)}.")
        return [(known[key], answer) for key, answer in said.items()]
    if isinstance(said, list) and len(questions) > 1:
        if len(said) != len(questions):
            raise AnswerRefused(
                f"{len(said)} answers for {len(questions)} open questions: one for each is accepted."
            )
        return zip(questions, said, strict=True)
    # A plain answer is for the question that was asked first; the others are asked again.
    return [(questions[0], said)]


# The form of an answer


def _check(question: Interrupt, answer: Any) -> Any:
    """The answer in the form that the question takes, where it says which that is."""
    schema = decisions_schema(question.value) or getattr(question, "response_schema", None)
    if not isinstance(schema, dict):
        return answer
    problem = ""
    for reading in _readings(question.value, answer):
        found = _problem(schema, reading)
        if found is None:
            return reading
        problem = problem or found
    accepted = json.dumps(schema, ensure_ascii=False, default=str)
    if tool_approvals(question.value):
        accepted = (
            'a data part such as {"decisions": [{"type": "approve"}]}, with a decision for each call, in their'
            f" order, of a type that is allowed for it; or one of the words {', '.join(_words(question.value))}"
        )
    raise AnswerRefused(
        f"The question does not take this answer: {problem[:_LONGEST_PROBLEM]}. Accepted: {accepted}."
    )


def _problem(schema: dict[str, Any], answer: Any) -> str | None:
    """What is wrong with an answer. A schema that cannot be read refuses nothing."""
    # Imported here, because most agents never need it.
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.exceptions import best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        Draft202012Validator.check_schema(schema)
        # An empty registry: what a schema refers to elsewhere is not fetched.
        error = best_match(Draft202012Validator(schema, registry=Registry()).iter_errors(answer))
    except (SchemaError, Unresolvable):
        return None
    if error is None:
        return None
    return f"{error.json_path.removeprefix('$.')}: {error.message}" if error.path else str(error.message)


def _readings(value: Any, answer: Any) -> Iterator[Any]:
    """How an answer can be meant; a client that sends text alone can write JSON, or name a decision."""
    yield answer
    if isinstance(answer, str):
        try:
            parsed = json.loads(answer)
        except (ValueError, RecursionError):
            word = answer.strip().casefold()
            if word in _words(value):
                yield from _decisions_of(value, {"type": word})
        else:
            yield parsed
            yield from _decisions_of(value, parsed)
    else:
        yield from _decisions_of(value, answer)


# LangChain's approvals of tool calls: one request for all the calls of a message, or one for each


def tool_approvals(value: Any) -> list[Mapping[str, Any]]:
    """Return the tool calls that the question asks to approve; none when it asks something else."""
    if not isinstance(value, Mapping):
        return []
    if value.get("type") == "tool_approval":
        return [value]
    requests, configs = value.get("action_requests"), value.get("review_configs")
    if not (isinstance(requests, list) and isinstance(configs, list) and len(requests) == len(configs)):
        return []
    return [request for request in requests if isinstance(request, Mapping)]


def _allowed(value: Mapping[str, Any]) -> list[list[str]]:
    """The decisions that are allowed for each call of a request for several."""
    return [
        [str(kind) for kind in config.get("allowed_decisions", ())] for config in value.get("review_configs", ())
    ]


def common_decisions(value: Mapping[str, Any]) -> list[str]:
    """Return the decisions that are allowed for every call of a request."""
    first, *others = _allowed(value) or [["approve", "edit", "reject", "respond"]]
    return [kind for kind in first if all(kind in allowed for allowed in others)]


def _words(value: Any) -> list[str]:
    """The decisions that need nothing but their name."""
    return (
        [kind for kind in common_decisions(value) if kind in ("approve", "reject")]
        if tool_approvals(value)
        else []
    )


def _decisions_of(value: Any, answer: Any) -> Iterator[Any]:
    requests = tool_approvals(value)
    if not requests:
        return
    if "action_requests" not in value:
        yield answer
    elif isinstance(answer, list):
        yield {"decisions": answer}
    else:
        yield {"decisions": [answer] * len(requests)}


def decisions_schema(value: Any) -> dict[str, Any] | None:
    """What LangChain's middleware takes for an answer to a request for several calls, which it does not say."""
    if not tool_approvals(value) or "action_requests" not in value:
        return None
    action = {"type": "object", "required": ["name", "args"], "properties": {"args": {"type": "object"}}}
    needed: dict[str, dict[str, Any]] = {
        "edit": {"edited_action": action},
        "respond": {"message": {"type": "string"}},
    }
    decisions = [
        {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": allowed}},
            "allOf": [
                {
                    "if": {"properties": {"type": {"const": kind}}},
                    "then": {"required": list(fields), "properties": fields},
                }
                for kind, fields in needed.items()
            ],
        }
        for allowed in _allowed(value)
    ]
    listed = {"type": "array", "prefixItems": decisions, "minItems": len(decisions), "maxItems": len(decisions)}
    return {"type": "object", "required": ["decisions"], "properties": {"decisions": listed}}
