"""Tokens are exchanged while the agent runs: the new ones are let in, and the old ones are not."""

import signal
from pathlib import Path

import httpx

from tests.agents import CHAT, write_project
from tests.processes import agent_process


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_admin_tokens_are_exchanged_without_a_restart_and_the_log_names_them(
    database_url: str, tmp_path: Path
) -> None:
    (tokens := tmp_path / "tokens").write_text("ann=token-of-ann\nbob=token-of-bob\n")
    project = write_project(tmp_path / "project", CHAT)
    async with (
        agent_process(project, postgres_dsn=database_url, admin_tokens_file=tokens) as agent,
        httpx.AsyncClient(base_url=f"{agent.url}/api/v1", timeout=30) as http,
    ):

        async def status(token: str) -> int:
            answer = await http.patch("/memory/config", json={"summarize": False}, headers=bearer(token))
            return answer.status_code

        assert [await status(token) for token in ("token-of-ann", "token-of-bob", "wrong")] == [200, 200, 401]
        tokens.write_text("ann=new-token-of-ann")
        agent.process.send_signal(signal.SIGHUP)
        while await status("token-of-bob") == 200:
            pass
        assert [await status(token) for token in ("new-token-of-ann", "token-of-ann")] == [200, 401]
        assert agent.terminate() == 0
    log = agent.log.read_text()
    assert "admin call admitted token=bob method=PATCH path=/api/v1/memory/config" in log
    assert "token-of-ann" not in log
