"""Clients that are generated from the OpenAPI documents give typed answers and errors of a running server."""

import asyncio
import importlib
import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.agents import running_agent, write_project
from tests.registry.registries import Served

GENERATORS = Path(os.environ.get("CLIENT_GENERATORS", ""))

# Compilers take their time on a slow machine.
pytestmark = pytest.mark.timeout(600)

# With an answer or an error of the wrong type this does not compile.
REGISTRY_TS = """
import createClient from "openapi-fetch";
import type { components, paths } from "./document.js";

const [baseUrl, token] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const client = createClient<paths>({ baseUrl, headers });
const path = { agent_id: "nobody" };
const { error } = await client.GET("/agents/{agent_id}", { params: { path } });
const said: components["schemas"]["Error"] = error!;
const body: components["schemas"]["AgentRegistration"] = { id: "one", uri: "http://one.test", name: "One" };
await client.POST("/agents", { body });
const { data } = await client.GET("/agents");
const status: components["schemas"]["AgentStatus"] = data!.agents[0].status;
console.log(JSON.stringify([said.error, status]));
"""

AGENT_TS = """
import createClient from "openapi-fetch";
import type { components, paths } from "./document.js";

const client = createClient<paths>({ baseUrl: process.argv[2] });
const body: components["schemas"]["MemoryChanges"] = { window_size: 0 };
const { error } = await client.PATCH("/api/v1/memory/config", { body });
const said: components["schemas"]["ErrorDetail"] = error!.error;
const { data } = await client.GET("/api/v1/memory/config");
const size: number = data!.data.window_size;
console.log(JSON.stringify([said.code, size]));
"""


async def test_a_python_client_of_the_registry_has_typed_answers_and_errors(
    registry: Served, directory: Path
) -> None:
    client = await python_client(registry.http, directory)
    opened = client("client").AuthenticatedClient(base_url=registry.url, token=registry.token)
    missing = await client("api.agents.get_agent").asyncio("nobody", client=opened)
    assert missing == client("models").Error(error="not found: agent nobody")
    claim = client("models").WorkItemClaim(worker_id="one", queue_types=["python_tool"])
    claimed = await client("api.work_items.claim_work_item").asyncio(body=claim, client=opened)
    assert claimed == client("models").ClaimAnswer(claimed=False)
    active = client("models").AgentStatus.ACTIVE
    listed = await client("api.agents.list_agents").asyncio(client=opened, status=active)
    assert listed == client("models").AgentsAnswer(agents=[])
    stranger = client("client").AuthenticatedClient(base_url=registry.url, token="unknown")
    refused = await client("api.agents.list_agents").asyncio(client=stranger)
    assert refused == client("models").Error(error="invalid or expired token")


async def test_a_python_client_of_an_agent_has_typed_answers_and_errors(
    tmp_path: Path, database_url: str, directory: Path
) -> None:
    async with running_agent(write_project(tmp_path), database_url, admin_token="swordfish") as agent:
        client = await python_client(agent.http, directory)
        opened = client("client").AuthenticatedClient(base_url=agent.url, token="swordfish")
        changes = client("models").MemoryChanges(window_size=0)
        refused = await client("api.memory.change_memory_config").asyncio(body=changes, client=opened)
        assert isinstance(refused, client("models").Error)
        assert (refused.error.code, refused.error["field"]) == ("INVALID_PARAM", "window_size")
        found = await client("api.status.get_status").asyncio(client=opened)
        assert isinstance(found, client("models").StatusAnswer)
        assert found.data.agent_id == "test-agent"


async def test_a_typescript_client_of_the_registry_has_typed_answers_and_errors(
    registry: Served, directory: Path
) -> None:
    answers = await typescript(registry.http, directory, REGISTRY_TS, registry.url, registry.token)
    assert answers == ["not found: agent nobody", "registered"]


async def test_a_typescript_client_of_an_agent_has_typed_answers_and_errors(
    tmp_path: Path, database_url: str, directory: Path
) -> None:
    async with running_agent(write_project(tmp_path), database_url) as agent:
        assert await typescript(agent.http, directory, AGENT_TS, agent.url) == ["INVALID_PARAM", 20]


@pytest.fixture
async def directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("client")
    monkeypatch.syspath_prepend(directory)
    return directory


async def python_client(http: httpx.AsyncClient, directory: Path) -> Any:
    """Generates a client; returns what imports its modules. A warning means that something was left out."""
    (directory / "config.yml").write_text("post_hooks: []\n")
    await save_document(http, directory)
    package = f"client_{uuid4().hex[:8]}"
    options = ["--path", "document.json", "--config", "config.yml", "--meta", "none", "--output-path", package]
    await run(
        GENERATORS / "bin" / "openapi-python-client", "generate", "--fail-on-warning", *options, cwd=directory
    )
    return lambda module: importlib.import_module(f"{package}.{module}")


async def typescript(http: httpx.AsyncClient, directory: Path, source: str, *arguments: str) -> Any:
    """Generates the types of a client, compiles a program that uses them, and runs it; what it prints."""
    (directory / "node_modules").symlink_to(GENERATORS / "node_modules")
    (directory / "package.json").write_text('{"type": "module"}')
    (directory / "main.ts").write_text(source)
    await save_document(http, directory)
    commands = directory / "node_modules" / ".bin"
    await run(commands / "openapi-typescript", "document.json", "-o", "document.ts", cwd=directory)
    options = ["--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"]
    await run(commands / "tsc", *options, "--types", "node", "main.ts", cwd=directory)
    return json.loads(await run(Path("node"), "main.js", *arguments, cwd=directory))


async def save_document(http: httpx.AsyncClient, directory: Path) -> None:
    (directory / "document.json").write_bytes((await http.get("/openapi.json")).content)


async def run(program: Path, *arguments: str, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        program, *arguments, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()
