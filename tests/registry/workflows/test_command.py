"""`registry workflows` registers, shows and checks documents."""

import json

import pytest

from tests.registry.cli.commands import registry_command
from tests.registry.workflows.samples import ir, load_sample

YAML = """
workflow_id: in-yaml
version: 1.5
nodes:
  wait: {kind: {type: wait}}
"""


@pytest.fixture
async def settings(registry):
    """How the command reaches the registry."""
    return {"jamjet_public_url": registry.url, "jamjet_token": registry.token}


async def test_a_document_is_registered_listed_and_shown(settings, tmp_path):
    (tmp_path / "w.json").write_text(json.dumps({"ir": load_sample("01")}))
    registered = await registry_command("workflows", "register", "w.json", "--json", **settings)
    assert json.loads(registered.stdout)["revision"] == 1
    listed = await registry_command("workflows", "list", **settings)
    assert listed.stdout.splitlines()[1].split()[:3] == ["expense-route", "0.1.0", "1"]
    wanted = ("--version", "0.1.0", "--revision", "1", "--json")
    shown = await registry_command("workflows", "show", "expense-route", *wanted, **settings)
    assert json.loads(shown.stdout)["ir"] == load_sample("01")


async def test_a_document_may_be_yaml(settings, tmp_path):
    (tmp_path / "w.yaml").write_text(YAML)
    registered = await registry_command("workflows", "register", "w.yaml", "--json", **settings)
    assert json.loads(registered.stdout)["version"] == "1.5"


async def test_what_the_registry_refuses_is_told(settings, tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(ir({"id": "a", "type": "python_fn"})))
    done = await registry_command("workflows", "register", "w.json", **settings)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("registry: bad request: ir.nodes.a.kind.module is required")


async def test_a_document_is_checked_without_a_registry(tmp_path):
    (tmp_path / "good.yaml").write_text(YAML)
    good = await registry_command("workflows", "validate", "good.yaml")
    assert (good.exit_code, good.stdout) == (0, "in-yaml 1.5 can be registered: 1 nodes\n")
    (tmp_path / "bad.json").write_text(json.dumps(ir({"id": "a", "type": "python_fn"})))
    bad = await registry_command("workflows", "validate", "bad.json")
    assert (bad.exit_code, bad.stderr.splitlines()) == (
        1,
        ["registry: ir.nodes.a.kind.module is required", "registry: ir.nodes.a.kind.function is required"],
    )


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("absent.json", None, "No such file"),
        ("w.json", "{", "not valid JSON"),
        ("w.json", "[]", "there is no object in it"),
        ("w.yaml", "a: [", "found '<stream end>'"),
        ("w.yaml", "a: 2024-01-31", "not JSON serializable"),
        ("w.yaml", "- a", "there is no object in it"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named(tmp_path, name, text, problem):
    if text is not None:
        (tmp_path / name).write_text(text)
    done = await registry_command("workflows", "validate", name)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith(f"registry: {name}: ")
    assert problem in done.stderr
