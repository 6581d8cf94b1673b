"""The language of conditions, such as `state.amount >= 1000 and output.status in ['paid', 'open']`.

It is parsed, never run as Python: all it can do is to look into JSON values and compare them.

    or, and, not            an operand counts as true unless it is null, false, 0, "", [] or {}
    == !=                   typed: 5 is not "5"; what is absent equals null
    < <= > >=               of two numbers or two strings; false for everything else
    in, not in              in a list, in the keys of an object, or in a string
    state.a.b, state.a.0    `state["any key"]` and `state.a[-1]` too; `output` is what the last node gave,
                            `env` what of the environment is open to workflows; any other name is one of `state`
    len(state.items)        of a list, an object or a string
    1.5 "text" 'text' true false null [1, 2]
"""

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from registry.workflows.comparisons import are_same, contains, is_ordered
from registry.workflows.evaluation_budget import EvaluationBudget

LONGEST = 2_000
"""How many characters an expression may have."""

_DEEPEST = 32
_MOST_DIGITS = 300
_LONGEST_SHOWN = 40

_STRING = r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'"""
_ESCAPE = r"\\(?:[\"'\\/bfnrt]|u[0-9a-fA-F]{4})"
_KEY = rf""""(?:[^"\\]|{_ESCAPE})*+"|'(?:[^'\\]|{_ESCAPE})*+'"""
PATH = rf"[^\W\d][\w-]*+(?:\.[\w-]++|\[\s*+(?:-?[0-9]{{1,9}}|{_KEY})\s*+\])*+"
"""A name and what is looked up below it, as a regular expression without groups."""

_STEP = re.compile(rf"\.?([\w-]+)|\[\s*(?:(-?[0-9]+)|({_KEY}))\s*\]", re.DOTALL)
_TOKEN = re.compile(
    rf"\s*+(?:(?P<string>{_STRING})"
    r"|(?P<number>-?[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![\w.]))"
    rf"|(?P<path>{PATH})"
    r"|(?P<sign>==|!=|<=|>=|[<>()\[\],])"
    r"|(?P<end>\Z))",
    re.DOTALL,
)
_WORDS: Mapping[str, Any] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_OPERATORS = frozenset({"==", "!=", "<=", ">=", "<", ">", "in"})
_KEYWORDS = frozenset({"and", "or", "not", "in"})


class BadExpression(ValueError):
    """The text is no expression; the message says what is wrong, and at which character."""


@lru_cache(maxsize=512)
def parse_expression(text: str) -> "Expression":
    """Raises `BadExpression`."""
    if len(text) > LONGEST:
        raise BadExpression(f"has {len(text)} characters; at most {LONGEST} are read")
    return Expression(text, _Parser(text).parse())


def follow(scope: Mapping[str, Any], path: str, budget: EvaluationBudget) -> Any:
    """What is at a path, which is text that `PATH` matches; None when it is absent. Nothing but JSON is found."""
    root, *steps = _steps(path)
    if root not in ("state", "output", "env"):
        root, steps = "state", [root, *steps]
    return _Path(root, tuple(steps)).value(scope, budget)


class _Term(ABC):
    """A part of an expression. Its value is JSON, for any scope."""

    @abstractmethod
    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any: ...


@dataclass(frozen=True)
class Expression:
    """An expression that was read. What makes no sense is false, or null; all it raises is `EvaluationTooLarge`.

    A scope has `state`, `output` and `env`, all of them optional. The budget is one of its own when none is given.
    """

    text: str
    _term: _Term

    def holds(self, scope: Mapping[str, Any], budget: EvaluationBudget | None = None) -> bool:
        return bool(self.value(scope, budget))

    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget | None = None) -> Any:
        return self._term.value(scope, budget or EvaluationBudget())


@dataclass(frozen=True)
class _Literal(_Term):
    literal: Any

    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
        budget.spend()
        return self.literal


@dataclass(frozen=True)
class _List(_Term):
    items: tuple[_Term, ...]

    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
        return [item.value(scope, budget) for item in self.items]


@dataclass(frozen=True)
class _Path(_Term):
    root: str
    steps: tuple[str, ...]

    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
        budget.spend(1 + 2 * len(self.steps))
        found = scope.get(self.root)
        for step in self.steps:
            found = _below(found, step)
        return found if _is_json(found) else None


@dataclass(frozen=True)
class _Length(_Term):
    of: _Term

    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
        value = self.of.value(scope, budget)
        return len(value) if isinstance(value, str | list | tuple | Mapping) else None


@dataclass(frozen=True)
class _Not(_Term):
    term: _Term

    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
        return not self.term.value(scope, budget)


@dataclass(frozen=True)
class _All(_Term):
    """`and`: the first that does not count as true, else the last."""

    terms: tuple[_Term, ...]

    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
        value = None
        for term in self.terms:
            value = term.value(scope, budget)
            if not value:
                break
        return value


@dataclass(frozen=True)
class _Any(_Term):
    """`or`: the first that counts as true, else the last."""

    terms: tuple[_Term, ...]

    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
        value = None
        for term in self.terms:
            value = term.value(scope, budget)
            if value:
                break
        return value


@dataclass(frozen=True)
class _Comparison(_Term):
    left: _Term
    operator: str
    right: _Term

    def value(self, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
        left, right = self.left.value(scope, budget), self.right.value(scope, budget)
        match self.operator:
            case "==":
                return are_same(left, right, budget)
            case "!=":
                return not are_same(left, right, budget)
            case "in":
                return contains(right, left, budget)
            case "not in":
                return not contains(right, left, budget)
            case _:
                return is_ordered(left, self.operator, right, budget)


class _Parser:
    """Reads one expression from left to right; each method reads what it is named after."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._depth = 0
        self._next()

    def parse(self) -> _Term:
        term = self._either()
        if self._kind != "end":
            raise self._unexpected("the end, or and, or, a comparison")
        return term

    def _either(self) -> _Term:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadExpression(f"at character {self._at + 1}: nested more than {_DEEPEST} levels deep")
        terms = [self._both()]
        while self._takes("or"):
            terms.append(self._both())
        self._depth -= 1
        return terms[0] if len(terms) == 1 else _Any(tuple(terms))

    def _both(self) -> _Term:
        terms = [self._negation()]
        while self._takes("and"):
            terms.append(self._negation())
        return terms[0] if len(terms) == 1 else _All(tuple(terms))

    def _negation(self) -> _Term:
        times = 0
        while self._takes("not"):
            times += 1
        term = self._comparison()
        if not times:
            return term
        return _Not(term) if times % 2 else _Not(_Not(term))

    def _comparison(self) -> _Term:
        left = self._operand()
        operator = self._operator()
        if operator is None:
            return left
        comparison = _Comparison(left, operator, self._operand())
        if self._operator() is not None:
            raise BadExpression(f"before character {self._at + 1}: write two comparisons with 'and' between them")
        return comparison

    def _operator(self) -> str | None:
        operator = self._text
        if self._kind in ("path", "sign") and operator in _OPERATORS:
            self._next()
            return operator
        if self._takes("not"):
            self._expect("in")
            return "not in"
        return None

    def _operand(self) -> _Term:
        kind, text, at = self._kind, self._text, self._at
        if kind == "string":
            self._next()
            return _Literal(_string(text, at))
        if kind == "number":
            self._next()
            return _Literal(_number(text, at))
        if self._takes("("):
            term = self._either()
            self._expect(")")
            return term
        if self._takes("["):
            return _List(tuple(self._items()))
        if kind != "path" or text in _KEYWORDS:
            raise self._unexpected("a value")
        self._next()
        return self._named(text, at)

    def _named(self, text: str, at: int) -> _Term:
        if text in _WORDS:
            return _Literal(_WORDS[text])
        if self._takes("("):
            if text != "len":
                raise BadExpression(f"at character {at + 1}: there is no function {_shown(text)}; len is one")
            term = self._either()
            self._expect(")")
            return _Length(term)
        return _path(text, at)

    def _items(self) -> Iterator[_Term]:
        while not self._takes("]"):
            yield self._either()
            if not self._takes(","):
                self._expect("]")
                return

    def _takes(self, text: str) -> bool:
        found = self._kind in ("path", "sign") and self._text == text
        if found:
            self._next()
        return found

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise self._unexpected(repr(text))

    def _next(self) -> None:
        self._kind, self._text, self._at = next(self._tokens)

    def _unexpected(self, expected: str) -> BadExpression:
        found = _shown(self._text) if self._text else "the end"
        return BadExpression(f"at character {self._at + 1}: expected {expected}, found {found}")


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """What the text consists of: kind, text and where it begins; the last one is the end."""
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _unreadable(text, position)
        yield match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)
        position = match.end()


def _unreadable(text: str, position: int) -> BadExpression:
    position += len(text[position:]) - len(text[position:].lstrip())
    rest = text[position:]
    if rest[0] in "\"'":
        problem = "a string without its end"
    elif rest[0] == "=":
        problem = "'=' compares nothing; write '=='"
    else:
        problem = f"cannot read {_shown(rest.split(maxsplit=1)[0])}"
    return BadExpression(f"at character {position + 1}: {problem}")


def _string(text: str, at: int) -> str:
    """Escapes are JSON's, and a quotation mark of either kind may have a backslash."""
    body = re.sub(
        r'\\.|"', lambda found: {"\\'": "'", '"': '\\"'}.get(found[0], found[0]), text[1:-1], flags=re.DOTALL
    )
    try:
        value: str = json.loads(f'"{body}"', strict=False)
    except ValueError:
        raise BadExpression(f"at character {at + 1}: {_shown(text)} has an escape that JSON lacks") from None
    return value


def _number(text: str, at: int) -> int | float:
    if len(text) > _MOST_DIGITS:
        raise BadExpression(f"at character {at + 1}: a number of more than {_MOST_DIGITS} digits")
    if re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    number = float(text)
    if math.isinf(number):
        raise BadExpression(f"at character {at + 1}: the number {_shown(text)} is out of range")
    return number


def _path(text: str, at: int) -> _Path:
    root, *steps = _steps(text, at)
    if root in ("state", "output", "env"):
        return _Path(root, tuple(steps))
    return _Path("state", (root, *steps))


def _steps(path: str, at: int = 0) -> list[str]:
    return [match[1] or match[2] or _string(match[3], at + match.start(3)) for match in _STEP.finditer(path)]


def _below(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, list | tuple) and re.fullmatch(r"-?[0-9]{1,9}", step):
        index = int(step)
        return value[index] if -len(value) <= index < len(value) else None
    return None


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int | float | list | tuple | Mapping)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
