"""Graphs in every form in which projects hand them out: each is served, opened when it is needed, and closed."""

from pathlib import Path

from tests.agents import answer_text, running_agent
from tests.strangers.serving import Serve, say, serving, state_of, status_text

# Answers with what `said` it; what is opened and closed is noted in `journal`.
MADE = """
import asyncio
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph

def note(what):
    with (Path(__file__).parent / "journal").open("a") as journal:
        journal.write(what + "\\n")

def built(said):
    def answer(state):
        return {"messages": [AIMessage(said)]}
    return StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
"""

FORMS = {
    "uncompiled": 'graph = built("uncompiled")',
    "compiled": 'graph = built("compiled").compile()',
    "function": 'def graph(): return built("function")',
    "with config": 'def graph(config): return built("with config " + config["configurable"]["thread_id"])',
    "with a type": 'def graph(settings: RunnableConfig): return built("with a type").compile()',
    "with runtime": 'def graph(runtime): return built(f"with runtime {runtime.access_context}")',
    "async": 'async def graph():\n    await asyncio.sleep(0)\n    return built("async")',
    "async with config": 'async def graph(config): return built("async with config")',
    "runs a loop itself": 'def graph(): return asyncio.run(asyncio.sleep(0, built("runs a loop itself")))',
    "runs a loop at import": 'graph = asyncio.run(asyncio.sleep(0, built("runs a loop at import")))',
    "gets a loop at import": """
loop = asyncio.get_event_loop()
graph = loop.run_until_complete(asyncio.sleep(0, built("gets a loop at import")))
""",
    "functional": """
@entrypoint()
async def graph(given: dict) -> dict:
    return {"messages": [*given["messages"], AIMessage("functional")]}
""",
}

OPENED = """
@asynccontextmanager
async def graph():
    note("open")
    yield built("opened once")
    note("close")
"""

OPENED_PER_TURN = """
@contextmanager
def graph(config):
    note(f"open {config['configurable']['thread_id']}")
    yield built("opened per turn")
    note(f"close {config['configurable']['thread_id']}")
"""


async def test_a_graph_is_served_in_every_form(tmp_path: Path, database_url: str) -> None:
    for said, source in FORMS.items():
        async with serving(tmp_path, database_url, MADE + source) as agent:
            answered = answer_text(await say(agent, "hello"))
            assert answered.startswith(said), (said, answered)


async def test_what_a_factory_opens_is_open_as_long_as_the_agent_runs(tmp_path: Path, database_url: str) -> None:
    async with serving(tmp_path, database_url, MADE + OPENED) as agent:
        assert answer_text(await say(agent, "one")) == answer_text(await say(agent, "two")) == "opened once"
        assert agent.journal() == ["open"]
    assert agent.journal() == ["open", "close"]


async def test_what_a_factory_with_config_opens_is_open_for_a_turn(serve: Serve) -> None:
    agent = await serve(MADE + OPENED_PER_TURN)
    assert answer_text(await say(agent, "hello", "thread-1")) == "opened per turn"
    assert agent.journal() == ["open ", "close ", "open thread-1", "close thread-1"]


async def test_a_file_in_a_package_is_served_with_its_neighbours(tmp_path: Path, database_url: str) -> None:
    package = tmp_path / "src" / "neighbourly"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(MADE)
    (package / "flow.py").write_text(
        "from .parts import built\nimport neighbourly.parts\ngraph = built('packed')\n"
    )
    card = '\n[card]\nname = "packed"\ndescription = "A package."\n'
    for name in ("./src/neighbourly/flow.py:graph", "neighbourly.flow:graph"):
        (tmp_path / "agent.toml").write_text(f'graph = "{name}"\n{card}')
        async with running_agent(tmp_path, database_url) as agent:
            assert await agent.ask("hello") == "packed"


async def test_a_turn_takes_as_many_steps_as_the_project_says(serve: Serve) -> None:
    loops = MADE + 'graph = built("again").add_edge("answer", "answer")'
    task = await say(await serve(loops, extra="\n[serve]\nrecursion_limit = 7\n"), "go")
    assert (state_of(task), "too many steps" in status_text(task)) == ("failed", True)
    limited = loops + ".compile().with_config(recursion_limit=3)"
    task = await say(await serve(limited), "go")
    assert (state_of(task), "too many steps" in status_text(task)) == ("failed", True)
