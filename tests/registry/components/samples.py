"""Components for tests, as a client of the registry makes them."""

from typing import Any

import httpx

PROMPT = {"template": "You are {{ agent_id }}."}
MODEL = {"model": "openai:gpt-4.1-mini", "temperature": 0.2}
MCP = {
    "url": "https://tools.test/mcp",
    "headers": {"Authorization": "Bearer ${TOOLS_TOKEN}"},
    "timeout_seconds": 60,
}


async def put(http: httpx.AsyncClient, name: str, content: dict[str, Any], **headers: str) -> httpx.Response:
    """`name` is kind and id, as in `prompt/greeting`; headers by their names in lower case."""
    given = {header.replace("_", "-"): value for header, value in headers.items()}
    return await http.put(f"/components/{name}", json=content, headers=given)


async def write(http: httpx.AsyncClient, name: str, content: dict[str, Any]) -> dict[str, Any]:
    answer = await put(http, name, content)
    assert answer.status_code in (200, 201), answer.text
    written: dict[str, Any] = answer.json()
    return written


async def resolve(http: httpx.AsyncClient, *refs: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post("/components/resolve", json={"refs": list(refs)})
    assert answer.status_code == 200, answer.text
    resolved: dict[str, Any] = answer.json()
    return resolved


def reference(name: str, **more: Any) -> dict[str, Any]:
    kind, _, component_id = name.partition("/")
    return {"kind": kind, "id": component_id, **more}


async def report(
    http: httpx.AsyncClient, agent_id: str, *refs: dict[str, Any], incarnation: str = "one"
) -> httpx.Response:
    body = {"incarnation": incarnation, "generation": 1, "refs": list(refs)}
    return await http.put(f"/agents/{agent_id}/components", json=body)
