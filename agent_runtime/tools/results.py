"""What an MCP tool gives back, kept to a size that a conversation can hold."""

import json

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)

from agent_runtime.tools.cutting import LONGEST_TEXT, cut

LONGEST_BLOB = 8 * 1024 * 1024


def failure(text: str) -> CallToolResult:
    """An error the model can read."""
    return CallToolResult(content=[TextContent(type="text", text=text)], isError=True)


def bounded(result: CallToolResult) -> CallToolResult:
    """The result with at most `LONGEST_TEXT` bytes of text and without what no message can carry."""
    content: list[ContentBlock] = []
    text_left, blob_left = LONGEST_TEXT, LONGEST_BLOB
    for block in result.content:
        shown = _readable(block, blob_left)
        if isinstance(shown, TextContent):
            if text_left <= 0:
                continue
            shown = TextContent(type="text", text=cut(shown.text, text_left))
            text_left -= len(shown.text.encode(errors="replace"))
        else:
            blob_left -= _blob_size(shown)
        content.append(shown)
    structured = result.structuredContent
    if structured is not None and len(json.dumps(structured)) > LONGEST_TEXT:
        structured = None
    return CallToolResult(content=content, structuredContent=structured, isError=result.isError)


def _readable(block: ContentBlock, blob_left: int) -> ContentBlock:
    if isinstance(block, AudioContent):
        return TextContent(type="text", text=f"[audio, {block.mimeType}: cannot be shown here]")
    if isinstance(block, EmbeddedResource) and isinstance(block.resource, TextResourceContents):
        return TextContent(type="text", text=block.resource.text)
    if _blob_size(block) > blob_left:
        return TextContent(type="text", text=f"[{block.type}: left out, it is too large]")
    return block


def _blob_size(block: ContentBlock) -> int:
    if isinstance(block, ImageContent):
        return len(block.data)
    if isinstance(block, EmbeddedResource) and isinstance(block.resource, BlobResourceContents):
        return len(block.resource.blob)
    return 0
