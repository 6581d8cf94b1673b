"""An agent that names components and has no registry works with what its project says."""

from pathlib import Path

from tests.agents import running_agent, write_project
from tests.contract.components import SHOWING, see

TAKEN = """
[model]
component = "model"

[prompts.system]
component = "system"
template = "I am {{ agent_id }}, {{ agent_name }}"

[mcp.tools]
component = "tools"
"""


async def test_it_answers_with_its_own_prompt_and_says_what_is_missing(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, SHOWING, extra=TAKEN)
    async with running_agent(directory, database_url) as agent:
        assert (await see(agent)).prompt == "I am test-agent, test-agent"
        state = (await agent.http.get("/status")).json()["data"]["mcp"]["tools"]
        assert (state["connected"], state["component"]["status"]) == (False, "failed")
        assert state["last_error"] == "only a registry can say what it is, and none has so far"


async def test_it_has_nothing_to_reload(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, SHOWING, extra=TAKEN)
    async with running_agent(directory, database_url, internal_runtime_control_enabled=True) as agent:
        for method, path in (("GET", "/api/v1/registry/metadata"), ("POST", "/api/v1/registry/reload")):
            answer = await agent.http.request(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "RUNTIME_UNAVAILABLE")
