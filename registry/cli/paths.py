"""Paths of the registry's routes, of what people have typed."""

from urllib.parse import quote


def component_path(kind: str, component_id: str, *more: str) -> str:
    parts = [quote(part, safe="", errors="surrogateescape") for part in (kind, component_id)]
    return "/".join(["/components", *parts, *more])
