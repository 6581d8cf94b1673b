"""What an MCP tool gives back, as a model is shown it, and kept to a size that a conversation can hold."""

import json
from typing import Any

from langchain_core.messages.content import create_image_block, create_text_block
from mcp.types import ContentBlock, EmbeddedResource, ImageContent, TextContent

from agent_runtime.tools.cutting import LONGEST_TEXT, cut
from groundwork.outgoing.mcp_results import ToolResult, image_type, note_on, text_in, unsaid

LONGEST_BLOB = 8 * 1024 * 1024

Content = str | list[str | dict[Any, Any]]
"""The content of a tool's message."""

NOTHING = "(the tool answered with nothing)"


def failure(text: str) -> ToolResult:
    """Return an error that the model can read."""
    return ToolResult([TextContent(type="text", text=text)], failed=True)


def content_of(result: ToolResult) -> Content:
    """Return what the model is shown: at most `LONGEST_TEXT` bytes of text and `LONGEST_BLOB` of images.

    What no message can carry is named; what the texts leave out of the structured content stands at the end.
    """
    shown: list[str | dict[Any, Any]] = []
    text_left, blob_left = LONGEST_TEXT, LONGEST_BLOB
    more = unsaid(result)
    structured = [] if more is None else [TextContent(type="text", text=json.dumps(more, ensure_ascii=False))]
    for block in [*result.blocks, *structured]:
        kind, data = _image_in(block)
        if kind is not None and len(data) <= blob_left:
            blob_left -= len(data)
            shown.append({**create_image_block(base64=data, mime_type=kind)})
        elif text_left > 0:
            text = cut(_text_of(block, too_large=kind is not None), text_left)
            text_left -= len(text.encode(errors="replace"))
            shown.append({**create_text_block(text)})
    if len(shown) == 1 and isinstance(shown[0], dict) and shown[0]["type"] == "text":
        return str(shown[0]["text"])
    return shown or NOTHING


def artifact_of(result: ToolResult) -> dict[str, Any] | None:
    """Return what is kept beside the message for the graph: the structured content, unless it is too long."""
    if result.structured is None or len(json.dumps(result.structured)) > LONGEST_TEXT:
        return None
    return {"structured_content": result.structured}


def _image_in(block: ContentBlock) -> tuple[str | None, str]:
    """The media type and the data of an image, where there is one that can be shown."""
    if isinstance(block, ImageContent):
        return image_type(block.mimeType, block.data), block.data
    if isinstance(block, EmbeddedResource) and (data := getattr(block.resource, "blob", None)) is not None:
        return image_type(block.resource.mimeType, data), data
    return None, ""


def _text_of(block: ContentBlock, *, too_large: bool) -> str:
    if too_large:
        return f"[{block.type}: left out, it is too large]"
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, EmbeddedResource) and (text := text_in(block.resource)) is not None:
        return text
    return note_on(block)
