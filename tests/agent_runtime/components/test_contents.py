"""Contents of the registry's components, read for one agent."""

from pathlib import Path
from typing import Any

import pytest

from agent_runtime.components.contents import ComponentUnusable, ContentReader
from agent_runtime.components.parts import Parts
from agent_runtime.project.outbound import Peer
from agent_runtime.project.slots import Kind, Model, Slot
from agent_runtime.tools.connection_state import Timing
from agent_runtime.tools.connections import Connections
from groundwork.outgoing.mcp_server import McpServer

ENVIRONMENT = {"KEY": "secret-4711", "ADMIN_TOKEN": "admin-4711", "HOST_NAME": "mcp.test"}


def read(kind: Kind, content: dict[str, Any], *, commands: bool = True, token: str | None = None) -> Any:
    slot = Slot(kind, "thing", "id", token=token)
    return ContentReader(Path.cwd(), commands=commands).read(slot, content, ENVIRONMENT)


def test_secrets_are_taken_from_the_environment_and_known_as_such() -> None:
    found = read("mcp", {"url": "http://${HOST_NAME}/mcp", "headers": {"Authorization": "Bearer ${KEY}"}})
    assert found.spec == McpServer(
        "thing", url="http://mcp.test/mcp", headers={"Authorization": "Bearer secret-4711"}
    )
    assert "secret-4711" in found.secrets
    assert "secret-4711" not in repr(found)


def test_a_server_has_the_time_that_its_component_gives_it_else_that_of_the_project() -> None:
    slot = Slot("mcp", "thing", "id", timeout_seconds=60)
    reader = ContentReader(Path.cwd())
    for content, seconds in (({}, 60), ({"timeout_seconds": 5}, 5)):
        found = reader.read(slot, {"url": "http://mcp.test", **content}, ENVIRONMENT)
        assert found.spec == McpServer("thing", url="http://mcp.test", timeout_seconds=seconds)


def test_parameters_of_a_model_may_name_variables_at_any_depth() -> None:
    found = read("model", {"model": "openai:gpt", "temperature": 0.5, "default_headers": {"X-Key": "${KEY}"}})
    assert found.spec == Model("openai:gpt", {"temperature": 0.5, "default_headers": {"X-Key": "secret-4711"}})


def test_a_peer_keeps_the_token_of_the_project() -> None:
    found = read("agent", {"url": "http://peer.test", "name": "Peer"}, token="peer-4711")
    assert found.spec == Peer("thing", "http://peer.test", "peer-4711")
    assert "peer-4711" in found.secrets


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("mcp", {"url": "http://a", "command": "b"}, "needs either url (streamable HTTP) or command (stdio)"),
        ("mcp", {"url": "ftp://a"}, "url: must be an absolute http or https URL"),
        ("mcp", {"url": "http://a", "headers": {"X": None}}, "headers.X: must be a string, not null"),
        ("mcp", {"url": "http://a", "headers": {"X": "${NONE}"}}, "NONE is not set"),
        ("mcp", {"url": "http://a", "headers": {"X": "${ADMIN_TOKEN}"}}, "ADMIN_TOKEN is the agent's own secret"),
        ("mcp", {"url": "http://a", "retries": 3}, "retries: is not known here"),
        ("model", {}, "model: must be provider:name"),
        ("model", {"model": "gpt"}, "model: must be provider:name"),
        ("prompt", {"template": 3}, "template: must be a string, not an integer"),
        ("prompt", {"template": "{{ x }}"}, "template: does not render: 'x' is not known"),
        ("agent", {"name": "no url"}, "url: is missing"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_field(kind: Kind, content: dict[str, Any], reason: str) -> None:
    with pytest.raises(ComponentUnusable) as caught:
        read(kind, content)
    assert reason in str(caught.value)
    assert "4711" not in str(caught.value)


def test_commands_are_run_only_where_the_operator_lets_the_registry_do_so() -> None:
    content = {"command": "python", "args": ["server.py"]}
    assert read("mcp", content).spec.args == ("server.py",)
    with pytest.raises(ComponentUnusable, match="COMPONENT_COMMANDS_ENABLED is false"):
        read("mcp", content, commands=False)


async def test_a_model_that_its_provider_cannot_build_is_refused_without_the_secret() -> None:
    hidden: list[str] = []
    parts = Parts(Connections(Timing()), hidden.extend)
    model = Model("openai:gpt-x", {"api_key": "secret-4711", "temperature": "secret-4711"})
    with pytest.raises(ComponentUnusable) as caught:
        await parts.make(model, ["secret-4711"])
    assert "openai:gpt-x" in str(caught.value)
    assert "secret-4711" not in str(caught.value)
    assert hidden == ["secret-4711"]
