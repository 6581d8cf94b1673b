"""Messages to agents as they are sent, and talks as they are shown."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from registry.checks import Body
from registry.outbound.conversation import Talk, TalkState

_Id = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


class NewMessage(Body):
    """`context_id` goes on with a conversation, `task_id` answers a question in it; by the `message_id` of one
    that was sent before, agents know it again."""

    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    context_id: _Id | None = None
    task_id: _Id | None = None
    message_id: _Id | None = None


class TalkAnswer(TypedDict):
    task_id: Annotated[str | None, Field(description="null: the agent has answered at once, without a task.")]
    context_id: str
    state: TalkState
    word: Annotated[str, Field(description="The state in the words of A2A, such as rejected.")]
    asked: Annotated[list[str], Field(description="What was said to the agent in this task.")]
    note: Annotated[str, Field(description="What the agent says of the state: its question, or why it failed.")]
    text: Annotated[str, Field(description="The answer, as far as it has come.")]
    data: list[Any]
    files: list[dict[str, Any]]


def show_talk(talk: Talk) -> Mapping[str, Any]:
    return {**vars(talk), "files": [dict(file) for file in talk.files]}
