"""Graphs that are one function: what it takes and what it returns need not be a state."""

from typing import Any

import pytest

from tests.strangers.serving import Serve

SOURCE = """
from dataclasses import dataclass
from langchain_core.messages import AIMessage
from langgraph.func import entrypoint
from pydantic import BaseModel

class Count(BaseModel):
    n: int

@dataclass
class Point:
    x: int
    y: int = 2

@entrypoint()
async def graph({}):
    return {}
"""

TEXT = {"text": "hi"}
FORMS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "a text for a text": ("said: str", "'heard ' + said", TEXT, {"text": "heard hi"}),
    "a text for messages": ("said: list", "'heard ' + said[-1].text", TEXT, {"text": "heard hi"}),
    "a message": ("said: str", "AIMessage('heard ' + said)", TEXT, {"text": "heard hi"}),
    "messages": ("said: list", "[*said, AIMessage('heard it')]", TEXT, {"text": "heard it"}),
    "a model": ("given: Count", "Count(n=given.n + 1)", {"data": {"n": 2}}, {"data": {"n": 3}}),
    "a dataclass": ("given: Point", "given.x + given.y", {"data": {"x": 3}}, {"data": 5}),
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_function_takes_and_returns_what_its_author_has_written(serve: Serve, form: str) -> None:
    takes, returns, given, answered = FORMS[form]
    agent = await serve(SOURCE.format(takes, returns))
    task = (await agent.send("", parts=[given]))["task"]
    ((part,),) = [artifact["parts"] for artifact in task["artifacts"]]
    assert {name: value for name, value in part.items() if name != "mediaType"} == answered
