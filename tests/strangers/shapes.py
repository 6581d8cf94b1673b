"""Classes that a state may declare, for a test and the graph that it serves, and when two values are the same."""

import enum
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Word(enum.StrEnum):
    YES = "yes"


class Level(enum.IntEnum):
    LOW = 1


class Item(BaseModel):
    name: str
    count: int
    color: Color
    tags: set[str]


@dataclass(frozen=True)
class Cart:
    items: tuple[Item, ...]
    level: Level
    note: Any


class Point(NamedTuple):
    x: int
    y: float


Shape = Color | Word | Level | Item | Cart | Point


def is_same(one: Any, other: Any) -> bool:
    """Whether the values are equal in everything that a program can see: `NaN` is itself, and `1` is not `1.0`."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, Cart):
        return is_same(one.note, other.note) and one.items == other.items and one.level == other.level
    return bool(one == other)
