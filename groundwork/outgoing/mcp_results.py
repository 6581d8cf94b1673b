"""What a tool has come to, whatever form its server gave it: a tool that ran has a result that can be shown."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import TypeAdapter, ValidationError

_BLOCK: TypeAdapter[ContentBlock] = TypeAdapter(ContentBlock)
_IMAGES = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How images begin in base64, for those that come without a media type."""
_TEXTUAL = ("application/json", "application/xml", "application/yaml", "application/x-ndjson")
UNNAMED_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class ToolResult:
    """The blocks of an answer, its structured content, and whether the tool says that it failed."""

    blocks: Sequence[ContentBlock] = ()
    structured: Any = None
    failed: bool = False


def read_result(result: dict[str, Any]) -> ToolResult:
    """Read what a call was answered with. What is no block of MCP's is shown as the JSON that it is."""
    content = result.get("content")
    blocks = content if isinstance(content, list) else [] if content is None else [content]
    return ToolResult(
        [_read_block(block) for block in blocks],
        result.get("structuredContent"),
        failed=bool(result.get("isError")),
    )


def unsaid(result: ToolResult) -> Any:
    """Return the structured content as far as the texts do not say it already, as servers mostly let them."""
    structured = result.structured
    texts = [block.text for block in result.blocks if isinstance(block, TextContent)]
    if not texts:
        return structured
    said = [_as_json(text) for text in texts]
    # Python servers wrap what is no object, and give each item of a list a block.
    wrapped = structured.get("result") if isinstance(structured, dict) and len(structured) == 1 else None
    for value in (structured, wrapped):
        if value is not None and (value in [*said, *texts] or value in (said, texts)):
            return None
    if wrapped is not None and texts == [str(wrapped)]:
        return None
    return structured


def text_in(resource: TextResourceContents | BlobResourceContents) -> str | None:
    """Return the text of a resource, which may be packed as bytes; `None` when it is none."""
    if isinstance(resource, TextResourceContents):
        return resource.text
    kind = (resource.mimeType or "").partition(";")[0].strip().lower()
    if not kind.startswith("text/") and kind not in _TEXTUAL and not kind.endswith(("+json", "+xml")):
        return None
    try:
        return base64.b64decode(resource.blob, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _read_block(block: Any) -> ContentBlock:
    if isinstance(block, str):
        return TextContent(type="text", text=block)
    if isinstance(block, dict):
        try:
            return _BLOCK.validate_python(block)
        except ValidationError:
            if (mended := _with_media_type(block)) is not None:
                return mended
    return TextContent(type="text", text=json.dumps(block, ensure_ascii=False))


def _with_media_type(block: dict[str, Any]) -> ContentBlock | None:
    """Return an image or a sound that came without its media type."""
    data, kind = block.get("data"), block.get("type")
    if not isinstance(data, str) or kind not in ("image", "audio"):
        return None
    given = block.get("mimeType")
    found = given if isinstance(given, str) else _image_type(data) or UNNAMED_TYPE
    if kind == "image":
        return ImageContent(type="image", data=data, mimeType=found)
    return AudioContent(type="audio", data=data, mimeType=found)


def _image_type(data: str) -> str | None:
    return next((kind for beginning, kind in _IMAGES.items() if data.startswith(beginning)), None)


def image_type(kind: str | None, data: str) -> str | None:
    """Return the media type of an image that can be shown: one whose data is base64."""
    found = _image_type(data) or kind or ""
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if found.startswith("image/") else None


def note_on(block: ContentBlock) -> str:
    """Return what is said about a block that cannot be shown as it is."""
    match block:
        case ResourceLink():
            known = [block.title or block.name, str(block.uri), block.mimeType, block.description]
            return f"[resource link: {', '.join(filter(None, known))}]"
        case EmbeddedResource():
            return (
                f"[resource {block.resource.uri}, {block.resource.mimeType or UNNAMED_TYPE}: cannot be shown here]"
            )
        case ImageContent() | AudioContent():
            return f"[{block.type}, {block.mimeType}: cannot be shown here]"
    return block.text


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
