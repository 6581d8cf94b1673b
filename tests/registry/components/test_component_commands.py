"""`registry components` on a served registry."""

import json
from pathlib import Path

import pytest

from tests.registry.agents.agents import register
from tests.registry.cli.commands import registry_command
from tests.registry.components.samples import reference, report, write
from tests.registry.registries import Served

APPLIED = """\
kind: prompt
id: greeting
content: {template: "Hello {{ caller }}"}
---
kind: mcp
id: tools
content:
  url: https://tools.test/mcp
  headers: {Authorization: "Bearer ${TOOLS_TOKEN}"}
---
"""


@pytest.fixture
def settings(registry: Served) -> dict[str, str]:
    return {"jamjet_public_url": registry.url, "jamjet_token": registry.token}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three components in two files, and something else."""
    (tmp_path / "all.yaml").write_text(APPLIED)
    (tmp_path / "more").mkdir()
    (tmp_path / "more/model.json").write_text('{"kind": "model", "id": "fast", "content": {"model": "a:b"}}')
    (tmp_path / "README.md").write_text("Not a component.")
    return tmp_path


async def test_a_component_is_put_shown_rolled_back_and_deleted(settings, tmp_path):
    file, name = tmp_path / "prompt.yaml", ("prompt", "greeting")
    seen = []
    for text in ("one", "two"):
        file.write_text(f"template: {text}")
        done = await registry_command("components", "put", *name, "-f", str(file), "--json", **settings)
        seen.append(json.loads(done.stdout)["version"])
    await registry_command("components", "rollback", *name, "1", "--if-match", "2", **settings)
    shown = await registry_command("components", "get", *name, "--json", **settings)
    listed = await registry_command("components", "versions", *name, **settings)
    gone = await registry_command("components", "delete", *name, "--if-match", "9", **settings)
    assert (seen, json.loads(shown.stdout)["content"]) == ([1, 2], {"template": "one"})
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["version", "3", "2", "1"]
    assert (gone.exit_code, gone.stderr) == (
        1,
        "registry: conflict: prompt greeting is at version 3, and not at 9\n",
    )
    assert (await registry_command("components", "delete", *name, **settings)).exit_code == 0
    assert (
        json.loads((await registry_command("components", "list", "--json", **settings)).stdout)["components"] == []
    )


async def test_the_status_shows_who_runs_what_and_why_not(registry, settings):
    written = await write(registry.http, "prompt/greeting", {"template": "{{ nobody }}"})
    await register(registry.http, "mine", incarnation="one", heartbeat_seconds=600)
    failed = reference("prompt/greeting", status="failed", version=None, digest=None, error="nobody is not known")
    await report(registry.http, "mine", failed)
    done = await registry_command("components", "status", "prompt", "greeting", **settings)
    heading, line = done.stdout.splitlines()
    assert heading.split()[:4] == ["agent", "id", "incarnation", "alive"]
    assert line.split()[:5] == ["mine", "one", "yes", "-", "failed"]
    assert line.endswith("nobody is not known")
    summary = "0 current, 0 behind, 1 failed, 0 fallback"
    assert done.stderr == f"prompt greeting, version {written['version']}: {summary}\n"


async def test_a_directory_is_applied_and_applied_again_changes_nothing(settings, files):
    results = []
    for options in (["--dry-run"], [], []):
        done = await registry_command("components", "apply", "-f", str(files), *options, "--json", **settings)
        assert done.exit_code == 0
        results.append([(each["id"], each["result"], each["version"]) for each in _components(done)])
    dry, first, second = results
    assert dry == [("greeting", "created", None), ("tools", "created", None), ("fast", "created", None)]
    assert first == [("greeting", "created", 1), ("tools", "created", 1), ("fast", "created", 1)]
    assert second == [("greeting", "unchanged", 1), ("tools", "unchanged", 1), ("fast", "unchanged", 1)]


async def test_what_is_changed_in_a_file_is_changed_in_the_registry(registry, settings, files):
    await registry_command("components", "apply", "-f", str(files), **settings)
    (files / "all.yaml").write_text(APPLIED.replace("Hello", "Good morning"))
    done = await registry_command("components", "apply", "-f", str(files / "all.yaml"), **settings)
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["prompt", "greeting", "2", "changed", "-"],
        ["mcp", "tools", "1", "unchanged", "-"],
    ]


async def test_nothing_is_sent_before_all_is_checked(registry, settings, files):
    (files / "z.yaml").write_text(
        "kind: model\nid: x\ncontent: {model: 'a:b', api_key: hunter-two}\n---\nkind: tool\nid: y\ncontent: {}\n"
        "---\nkind: prompt\nid: greeting\ncontent: {template: again}\n---\njust text\n"
    )
    done = await registry_command("components", "apply", "-f", str(files), **settings)
    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 4
    for said in ("document 1: api_key looks", "document 2: kind should be", "document 4: there is no object"):
        assert said in done.stderr
    assert "prompt greeting is given more than once" in done.stderr
    assert "hunter-two" not in done.stderr
    assert (await registry.http.get("/components")).json()["components"] == []


async def test_one_that_fails_is_said_to_have_and_holds_up_no_other(registry, settings, files):
    viewer = {**settings, "jamjet_token": await registry.make_token("viewer")}
    done = await registry_command("components", "apply", "-f", str(files), "--json", **viewer)
    assert done.exit_code == 1
    assert [each["result"] for each in _components(done)] == ["failed"] * 3
    assert "developer or operator required" in _components(done)[0]["error"]


async def test_files_that_are_no_use_are_said_to_be(settings, tmp_path):
    for path, said in ((tmp_path, "there is no file ending in"), (tmp_path / "none.yaml", "No such file")):
        done = await registry_command("components", "apply", "-f", str(path), **settings)
        assert (done.exit_code, said in done.stderr) == (2, True)


def _components(done):
    return json.loads(done.stdout)["components"]
