"""What a scaffolded graph is built from."""

from agent_runtime.graph.answers import TurnRejected, reply, send_artifact
from agent_runtime.graph.context import TurnContext
from agent_runtime.graph.conversation import Conversation
from agent_runtime.graph.model import build_model
from agent_runtime.graph.outputs import Data, File, Part, Text
from groundwork.models.offline.model import OfflineChatModel

__all__ = [
    "Conversation",
    "Data",
    "File",
    "OfflineChatModel",
    "Part",
    "Text",
    "TurnContext",
    "TurnRejected",
    "build_model",
    "reply",
    "send_artifact",
]
