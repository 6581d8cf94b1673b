"""Graphs with a `context_schema` of their own: built from its defaults and from what the caller says."""

from typing import Any

import pytest

from tests.strangers.serving import Serve, state_of, status_text

DECLARED = {
    "dataclass": """
@dataclass(kw_only=True)
class Context:
    model: str = "their/own"
    most: int = 3

    def __post_init__(self):
        self.most = self.most * 2
""",
    "pydantic": """
class Context(BaseModel):
    model: str = "their/own"
    most: int = Field(default=6, lt=100)
""",
    "TypedDict": """
class Context(TypedDict):
    model: str
    most: int
""",
}

TELLS = """
from dataclasses import dataclass
from typing import TypedDict

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
{declared}
def tell(state: MessagesState, runtime: Runtime[Context]):
    return {{"messages": [AIMessage(repr(runtime.context))]}}

graph = StateGraph(MessagesState, context_schema=Context)
graph.add_node(tell)
graph.add_edge(START, "tell")
"""

NEEDS_A_FIELD = """
from dataclasses import dataclass
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime

@dataclass
class Context:
    customer: str
    level: int = 1

def tell(state: MessagesState, runtime: Runtime[Context]):
    return {"messages": [AIMessage(f"for {runtime.context.customer}")]}

graph = StateGraph(MessagesState, context_schema=Context)
graph.add_node(tell)
graph.add_edge(START, "tell")
"""

TELLS_WHO_CALLS = """
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime

def tell(state: MessagesState, config: RunnableConfig, runtime: Runtime):
    known = config["configurable"]
    user = known.get("langgraph_auth_user") or {}
    told = [known.get("user_id", "nobody"), user.get("identity"), known["agent_id"], runtime.context]
    return {"messages": [AIMessage(" ".join(map(str, told)))]}

graph = StateGraph(MessagesState)
graph.add_node(tell)
graph.add_edge(START, "tell")
"""


async def ask(agent: Any, metadata: dict[str, Any], **message: Any) -> str:
    task = (await agent.send("hello", metadata=metadata, **message))["task"]
    assert state_of(task) == "completed", task
    text: str = task["artifacts"][0]["parts"][0]["text"]
    return text


@pytest.mark.parametrize(
    ("kind", "own", "given"),
    [
        ("dataclass", "Context(model='their/own', most=6)", "Context(model='their/own', most=10)"),
        ("pydantic", "Context(model='their/own', most=6)", "Context(model='their/own', most=5)"),
        ("TypedDict", "{}", "{'most': 5}"),
    ],
)
async def test_the_schema_is_built_from_its_defaults_and_the_metadata(
    serve: Serve, kind: str, own: str, given: str
) -> None:
    agent = await serve(TELLS.format(declared=DECLARED[kind]))
    assert await ask(agent, {}) == own
    assert await ask(agent, {"most": 5, "trace": "of somebody else"}) == given


async def test_a_required_field_that_is_missing_is_named_before_anything_ran(serve: Serve) -> None:
    agent = await serve(NEEDS_A_FIELD)
    assert await ask(agent, {"customer": "ada"}) == "for ada"
    for metadata, said in [
        ({}, "lacks 'customer'"),
        ({"customer": "ada", "level": "x"}, "level: Input should be"),
    ]:
        message = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "x"}], "metadata": metadata}
        error = (await agent.rpc("SendMessage", {"message": message}))["error"]
        assert error["code"] == -32602
        assert said in error["message"]


async def test_a_key_of_a_typed_dict_is_named_when_a_node_misses_it(serve: Serve) -> None:
    asks = TELLS.format(declared=DECLARED["TypedDict"]).replace(
        "repr(runtime.context)", "runtime.context['model']"
    )
    task = (await (await serve(asks)).send("hello"))["task"]
    assert state_of(task) == "rejected"
    assert "message.metadata lacks 'model'" in status_text(task)


async def test_the_config_says_who_calls_and_a_graph_without_a_schema_has_no_context(serve: Serve) -> None:
    agent = await serve(TELLS_WHO_CALLS, a2a_tokens="ada=secret-of-ada")
    answered = (await agent.send("hello", token="secret-of-ada"))["task"]
    assert answered["artifacts"][0]["parts"][0]["text"] == "ada ada test-agent None"


async def test_an_anonymous_caller_has_no_name(serve: Serve) -> None:
    assert await ask(await serve(TELLS_WHO_CALLS), {}) == "nobody None test-agent None"
