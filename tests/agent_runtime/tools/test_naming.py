import re

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import BaseTool, StructuredTool

from agent_runtime.tools.naming import tool_name, with_unique_names


def named(name: str) -> BaseTool:
    return StructuredTool.from_function(lambda: None, name=name, description="does nothing")


@given(st.from_regex(r"[a-z0-9_-]{1,40}", fullmatch=True), st.text(min_size=1, max_size=200))
def test_every_name_is_one_that_providers_accept(source: str, tool: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool_name(source, tool))


def test_a_name_begins_with_its_source() -> None:
    assert tool_name("weather", "get.forecast") == "weather_get_forecast"


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert tool_name("a", "x" * 100 + "1") != tool_name("a", "x" * 100 + "2")


def test_tools_that_ended_up_with_one_name_are_told_apart() -> None:
    tools = with_unique_names([named("a_b"), named("a_b"), named("a_b_2"), named("x" * 64), named("x" * 64)])
    names = [tool.name for tool in tools]
    assert names[:3] == ["a_b", "a_b_2", "a_b_2_2"]
    assert len(set(names)) == 5
    assert max(map(len, names)) == 64
