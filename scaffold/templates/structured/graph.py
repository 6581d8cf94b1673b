"""The agent: every message becomes a support ticket. Ordinary LangGraph code; `agent.toml` names `graph`."""

from collections.abc import Sequence
from typing import Any, Literal

from agent_runtime.graph import Data, TurnContext, TurnRejected, send_artifact
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field, ValidationError

ATTEMPTS = 2


class Ticket(BaseModel):
    """A support ticket."""

    title: str = Field(description="What is wrong, in a few words.", min_length=3, max_length=80)
    priority: Literal["low", "normal", "high"] = Field("normal", description="How urgent it is.")
    people_affected: int = Field(1, description="How many people cannot work.", ge=1)


async def make_ticket(state: MessagesState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    ticket = await read_ticket(runtime.context, state["messages"])
    # The ticket itself is an A2A data part; the text beside it is for people.
    send_artifact("ticket", Data(ticket.model_dump(mode="json")), description="The ticket that was made.")
    return {"messages": [AIMessage(f"Noted with {ticket.priority} priority: {ticket.title}")]}


async def read_ticket(turn: TurnContext, messages: Sequence[BaseMessage]) -> Ticket:
    """What the model fills in, checked. It may correct itself once; then the message is refused."""
    # NOSTREAM: the JSON that some models write on the way is not part of the answer.
    model = turn.model.with_structured_output(Ticket, include_raw=True).with_config(tags=[TAG_NOSTREAM])
    system = turn.prompts["system"]
    for _ in range(ATTEMPTS):
        # The system prompt, the long-term summary if there is one, and the last MEMORY_WINDOW_SIZE messages.
        result = await model.ainvoke(turn.prompt(system, messages))
        if result["parsed"] is not None:
            return result["parsed"]
        problem = explain(result["parsing_error"])
        system = f"{turn.prompts['system']} Your last attempt was not valid: {problem}."
    raise TurnRejected(f"No ticket could be made of this message: {problem}.")


def explain(error: BaseException | None) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return "it is not a ticket"


# Left uncompiled: the runtime compiles it with the checkpointer that keeps every conversation.
graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node("make_ticket", make_ticket)
graph.add_edge(START, "make_ticket")
