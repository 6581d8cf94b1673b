"""What is written beside the code holds: settings, links, and nothing of the machine it was written on."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime.settings import AgentSettings
from registry.settings import RegistrySettings
from tests.contract.agent_who import WHO as AGENTS_WHO
from tests.log_events import log_events
from tests.registry.who import WHO as REGISTRYS_WHO

ROOT = Path(__file__).resolve().parent.parent
AGENT = {AgentSettings.variable_of(name) for name in AgentSettings.model_fields}
REGISTRY = {name.upper() for name in RegistrySettings.model_fields}
SETTINGS = sorted(AGENT | REGISTRY)
SECTIONS = {"An agent": AGENT - REGISTRY, "A registry": REGISTRY - AGENT, "Both": AGENT & REGISTRY}

_EXAMPLE_LINE = re.compile(r"^(?P<unset># )?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^\| `(?P<name>[A-Z0-9_]+)` \| (?P<default>[^|]*) \|", re.MULTILINE)
_IN_CODE = re.compile(r"`([^`]*)`")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)#\s]+)(?:#[^)]*)?\)")

# Spelled so that they do not match themselves.
_REGISTRY_HOSTS = re.compile(r"pyp[i]\.org|python[h]osted\.org|npm[j]s\.org|deb\.debia[n]\.org|crate[s]\.io")
_MACHINE_PATHS = re.compile(r"/(root|home|work|tmp)/[a-z]")
_THE_DIRECTORY_ITSELF = re.compile(r"/tmp/?[\"' )]")

_GENERATED = {"build", "dist", "node_modules", "__pycache__"}
_HIDDEN_AND_OURS = {".ci", ".github"}


def test_the_example_environment_lists_every_setting_and_nothing_else():
    assert sorted(line["name"] for line in _EXAMPLE_LINE.finditer(_read(".env.example"))) == SETTINGS


def test_the_example_environment_explains_every_setting():
    lines = _read(".env.example").splitlines()
    explained = [lines[number - 1].startswith("# ") for number in range(len(lines)) if _is_setting(lines[number])]
    assert all(explained)
    assert len(explained) == len(SETTINGS)


def test_the_example_environment_has_every_setting_in_its_section():
    assert {
        title: {line["name"] for line in _EXAMPLE_LINE.finditer(section)}
        for title, section in _sections(_read(".env.example"), "# ===== (.+) =====")
    } == SECTIONS


@pytest.mark.parametrize("settings", [AgentSettings, RegistrySettings])
def test_the_example_environment_changes_nothing(settings):
    assert settings(_env_file=ROOT / ".env.example") == settings(_env_file=None)


def test_the_configuration_page_has_a_row_for_every_setting_and_nothing_else():
    assert sorted(row["name"] for row in _TABLE_ROW.finditer(_read("docs/configuration.md"))) == SETTINGS


def test_the_configuration_page_has_every_setting_in_its_section():
    assert {
        title: {row["name"] for row in _TABLE_ROW.finditer(section)}
        for title, section in _sections(_read("docs/configuration.md"), "## (.+)")
    } == SECTIONS


def test_the_configuration_page_and_the_example_agree_on_every_default():
    rows = {row["name"]: row["default"] for row in _TABLE_ROW.finditer(_read("docs/configuration.md"))}
    for line in _EXAMPLE_LINE.finditer(_read(".env.example")):
        default = rows[line["name"]]
        assert default.startswith(("empty", "not set")) if line["unset"] else default == f"`{line['value']}`"


@pytest.mark.parametrize(("service", "who"), [("an agent", AGENTS_WHO), ("a registry", REGISTRYS_WHO)])
def test_the_security_page_says_who_may_call_which_route(service, who):
    table = _read("docs/security.md").partition(f"| routes of {service} |")[2].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]
    assert {route: allowed for routes, allowed in rows for route in _IN_CODE.findall(routes)} == who


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_lead_to_files_that_exist(page):
    targets = [link["target"] for link in _LINK.finditer(page.read_text("utf-8"))]
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_index_lists_every_decision_with_its_status():
    rows = dict(re.findall(r"\]\((\d{4}-[\w-]+\.md)\) \| .+ \| (.+) \|", _read("docs/decisions/README.md")))
    pages = (ROOT / "docs/decisions").glob("0*.md")
    statuses = {page.name: re.search(r"^Status: (.+)$", page.read_text("utf-8"), re.MULTILINE) for page in pages}
    assert {name: status and status[1] for name, status in statuses.items()} == rows


def test_no_file_names_a_package_registry():
    assert [path for path, text in _files() if _REGISTRY_HOSTS.search(text)] == []


def test_no_file_names_a_path_of_somebodys_machine():
    found = [
        f"{path}: {line.strip()}"
        for path, text in _files()
        for line in text.splitlines()
        if _MACHINE_PATHS.search(line) and not _THE_DIRECTORY_ITSELF.search(line)
    ]
    assert found == []


def _is_setting(line: str) -> bool:
    return _EXAMPLE_LINE.match(line) is not None


def _sections(text: str, heading: str) -> Iterator[tuple[str, str]]:
    _, *parts = re.split(f"^{heading}$", text, flags=re.MULTILINE)
    return zip(parts[::2], parts[1::2], strict=True)


def _read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def _files() -> Iterator[tuple[str, str]]:
    """Every text file of the repository, as far as that can be said without asking git."""
    for directory, folders, names in os.walk(ROOT):
        folders[:] = [
            folder
            for folder in folders
            if folder not in _GENERATED
            and not folder.endswith(".egg-info")
            and (not folder.startswith(".") or folder in _HIDDEN_AND_OURS)
        ]
        for name in names:
            path = Path(directory, name)
            if name not in {".env", ".git"} and path.is_file():  # a worktree has a file of that name
                yield str(path.relative_to(ROOT)), path.read_text("utf-8", "ignore")


def test_the_logging_page_lists_every_event_at_its_level_and_nothing_else():
    rows = re.findall(r"^\| ([A-Z, ]+) \| `([^`]+)` \|", _read("docs/logging.md"), re.MULTILINE)
    listed = {event: set(levels.lower().split(", ")) for levels, event in rows}
    assert listed == log_events()


def test_the_layers_are_drawn_as_the_linter_holds_them():
    contracts = tomllib.loads(_read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    held = {
        contract.get("containers", ["packages"])[0]: contract["layers"]
        for contract in contracts
        if contract["type"] == "layers"
    }
    drawing = re.findall(r"^```layers\n(.*?)^```", _read("docs/architecture.md"), re.MULTILINE | re.DOTALL)[0]
    drawn = [block.splitlines() for block in drawing.strip().split("\n\n")]
    assert {name: [line.strip() for line in layers] for name, *layers in drawn} == held
