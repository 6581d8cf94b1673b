from langchain_core.messages import HumanMessage

from agent_runtime.graph import OfflineChatModel, TurnContext
from agent_runtime.memory.config import LiveMemoryConfig, MemoryConfig


def make_context(**values: object) -> TurnContext:
    given = {"thread_id": "c1", "task_id": "t1", "message_id": "m1", "caller": "", "agent_id": "a"}
    return TurnContext(**given | {"model": OfflineChatModel()} | values)  # type: ignore[arg-type]


def test_the_context_of_a2a_is_the_thread():
    assert make_context(thread_id="c7").context_id == "c7"


def test_the_prompt_holds_the_system_prompt_the_summary_and_the_window():
    context = make_context(summary="They like tea.", memory=LiveMemoryConfig(MemoryConfig(window_size=2)))
    prompt = context.prompt("Be kind.", [HumanMessage(str(number)) for number in range(5)])
    opening = "\n".join(message.text for message in prompt if message.type == "system")
    assert "Be kind." in opening
    assert "They like tea." in opening
    assert [message.text for message in prompt if message.type == "human"] == ["3", "4"]


def test_a_change_of_the_window_holds_from_the_next_prompt_on():
    memory = LiveMemoryConfig(MemoryConfig(window_size=2))
    context = make_context(memory=memory)
    memory.change(window_size=1)
    assert len(context.prompt("Be kind.", [HumanMessage(str(number)) for number in range(5)])) == 2
