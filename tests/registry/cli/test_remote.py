"""The command `registry` from any machine: profiles, and all that a person does, over HTTP with a token."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.registry.cli.commands import registry_command
from tests.registry.registries import Served


@pytest.fixture
def away(tmp_path: Path) -> dict[str, str]:
    """A machine without a registry of its own, on which nothing is set but where a person's files are."""
    return {"xdg_config_home": str(tmp_path), "database_url": str(tmp_path / "none" / "runtime.db")}


async def json_of(*arguments: str, **settings: str) -> Any:
    done = await registry_command(*arguments, "--json", **settings)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


async def test_a_profile_names_the_registry_and_its_token(
    registry: Served, away: dict[str, str], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(registry.token + "\n")
    await json_of("profiles", "add", "prod", "--url", registry.url, "--token-file", str(token), **away)
    await json_of("profiles", "add", "other", "--url", "http://127.0.0.1:1", **away)
    listed = (await json_of("profiles", "list", **away))["profiles"]
    assert [(one["name"], one["is_default"]) for one in listed] == [("prod", True), ("other", False)]
    assert stat.S_IMODE((tmp_path / "registry" / "profiles.toml").stat().st_mode) == 0o600
    assert await json_of("agents", "list", **away) == {"agents": []}
    for order in (("--profile", "other", "workers", "list"), ("workers", "list", "--profile", "other")):
        done = await registry_command(*order, **away)
        assert (done.exit_code, "http://127.0.0.1:1" in done.stderr) == (2, True)
    set_elsewhere = {**away, "jamjet_url": "http://127.0.0.1:2"}
    assert "http://127.0.0.1:2" in (await registry_command("cron", "list", **set_elsewhere)).stderr
    assert await json_of("cron", "list", "--profile", "prod", **set_elsewhere) == {"cron_jobs": []}
    assert (await json_of("profiles", "use", "none", **away))["default"] is None
    assert (await registry_command("profiles", "remove", "nobody", **away)).exit_code == 2


async def test_tokens_tenants_and_the_log_of_a_registry_that_is_named_are_that_registrys(
    registry: Served, away: dict[str, str]
) -> None:
    at = {**away, "jamjet_url": registry.url, "jamjet_token": registry.token}
    await json_of("tenants", "create", "acme", **at)
    limited = await json_of("tenants", "update", "acme", "--limit", "max_agents=5", **at)
    assert limited["limits"] == {"max_agents": 5}
    made = await registry_command("tokens", "create", "--role", "viewer", "--tenant", "acme", **at)
    assert made.stdout.startswith("jj_")
    tokens = (await json_of("tokens", "list", "--tenant", "acme", **at))["tokens"]
    assert (await json_of("tokens", "revoke", tokens[0]["token_id"], **at))["revoked"] is True
    events = [entry["event_type"] for entry in (await json_of("audit", "list", **at))["items"]]
    exported = (await registry_command("audit", "export", **at)).stdout.splitlines()
    assert [json.loads(line)["event_type"] for line in exported] == events[::-1]
    verified = await registry_command("audit", "verify", **at)
    assert (verified.exit_code, verified.stdout) == (2, "")
    for verb in (("list",), ("show", "acme"), ("delete", "acme", "--yes")):
        assert (await registry_command("tenants", *verb, **at)).exit_code == (1 if "delete" in verb else 0)


async def test_agents_are_labelled_held_let_go_and_removed(registry: Served, away: dict[str, str]) -> None:
    at = {**away, "jamjet_url": registry.url, "jamjet_token": registry.token}
    await registry.http.post("/agents", json={"id": "a", "uri": "http://a.test", "labels": {"stage": "live"}})
    await json_of("agents", "activate", "a", **at)
    assert (await json_of("agents", "label", "a", "team=billing", "stage-", **at))["labels"] == {"team": "billing"}
    assert len((await json_of("agents", "list", "--label", "team=billing", "--alive", **at))["agents"]) == 1
    statuses = [
        (await json_of("agents", verb, "a", **at))["status"] for verb in ("pause", "resume", "drain", "show")
    ]
    assert statuses == ["paused", "active", "draining", "draining"]
    waited = await registry_command("agents", "drain", "a", "--wait", "0", "--json", **at)
    assert (waited.exit_code, json.loads(waited.stdout)["drained"]) == (1, False)
    assert "agent_draining" in {
        each["event_type"] for each in (await json_of("agents", "trace", "a", **at))["events"]
    }
    assert (await json_of("agents", "search", "nothing", **at))["agents"] == []
    assert (await registry_command("agents", "status", "a", **at)).exit_code == 1
    assert (await json_of("agents", "delete", "a", "--yes", **at))["deleted"] is True


async def test_executions_cron_and_workers_are_listed(registry: Served, away: dict[str, str]) -> None:
    at = {**away, "jamjet_url": registry.url, "jamjet_token": registry.token}
    assert await json_of("executions", "list", "--status", "failed", **at) == {"executions": []}
    assert (await json_of("workers", "list", **at))["workers"] == []
    refused = await registry_command("cron", "put", "nightly", "@daily", "unknown", **at)
    assert (refused.exit_code, "unknown" in refused.stderr) == (1, True)
    assert (await registry_command("cron", "delete", "nightly", **at)).exit_code == 1
    assert (await registry_command("executions", "show", "exec_0", **at)).exit_code == 1


async def test_the_command_tells_its_version_and_completes_itself() -> None:
    assert (await registry_command("--version")).stdout.startswith("registry ")
    completed = await registry_command(
        _registry_complete="complete_bash", comp_words="registry age", comp_cword="1"
    )
    assert "agents" in completed.stdout


@pytest.mark.parametrize("content", ["[", "profiles = 1", "[profiles.a]\ntoken = 'x'", "[profiles.a]\nurl = 1"])
async def test_a_file_of_profiles_that_cannot_be_used_is_named(
    away: dict[str, str], tmp_path: Path, content: str
) -> None:
    file = tmp_path / "registry" / "profiles.toml"
    file.parent.mkdir()
    file.write_text(content)
    done = await registry_command("agents", "list", **away)
    assert (done.exit_code, str(file) in done.stderr, done.stderr.count("\n")) == (2, True, 1)
