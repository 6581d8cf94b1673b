"""What is declared is what is used, and what is locked is what is declared."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
OURS = ["groundwork", "agent_runtime", "admin_api", "registry", "scaffold"]
TEMPLATES = ROOT / "scaffold" / "templates"

# The first releases without holes that were published, of packages that read what strangers send.
FIXED_IN = {
    "cryptography": "44.0.1",  # CVE-2024-12797
    "h11": "0.16.0",  # CVE-2025-43859: request smuggling
    "idna": "3.7",  # CVE-2024-3651
    "langchain-core": "1.2.5",  # CVE-2025-68664: objects from serialized data
    "langgraph-checkpoint": "4.0.0",  # CVE-2025-64439, CVE-2026-28277: objects from checkpoints
    "mcp": "1.23.0",  # CVE-2025-66416: DNS rebinding
    "orjson": "3.11.5",  # CVE-2025-67221: nesting
    "protobuf": "6.33.5",  # CVE-2025-4565, CVE-2026-0994: nesting
    "requests": "2.32.4",  # CVE-2024-47081
    "setuptools": "78.1.1",  # CVE-2025-47273
    "starlette": "0.49.1",  # CVE-2025-62727: ranges
    "urllib3": "2.6.3",  # CVE-2025-66418, CVE-2025-66471, CVE-2026-21441: decompression
}

_NAME = re.compile(r"^[\w.-]+")


@pytest.fixture(scope="module")
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def lock():
    return (ROOT / "requirements.lock").read_text("utf-8")


@pytest.fixture(scope="module")
def other_locks():
    """What goes into environments of its own."""
    return [(ROOT / f"requirements-{name}.lock").read_text("utf-8") for name in ("jamjet", "clients")]


@pytest.fixture(scope="module")
def constraints():
    return (TEMPLATES / "constraints.txt").read_text("utf-8")


def test_every_package_that_the_software_imports_is_declared(pyproject):
    # With the extra "pool" of psycopg, and with ours: what is imported only where it was installed.
    declared = _names(pyproject["project"]["dependencies"]) | {"psycopg-pool"}
    declared |= _names(pyproject["project"]["optional-dependencies"]["otel"])
    providers = packages_distributions()
    modules = {module for package in OURS for module in _imported_modules(ROOT / package)}
    foreign = modules - sys.stdlib_module_names - set(OURS)
    undeclared = [module for module in sorted(foreign) if not declared & _names(providers.get(module, []))]
    assert undeclared == []


def test_the_lock_holds_everything_that_is_declared(pyproject, lock):
    extras = [
        requirement for extra in pyproject["project"]["optional-dependencies"].values() for requirement in extra
    ]
    wanted = [*pyproject["project"]["dependencies"], *extras, *pyproject["dependency-groups"]["dev"]]
    assert _names(wanted) - _versions(lock).keys() == set()


def test_everything_in_the_locks_is_pinned_by_hash(lock, other_locks):
    requirements = re.findall(r"^[^\s#].*(?:\n[ \t]+.*)*", "\n".join([lock, *other_locks]), re.MULTILINE)
    assert [entry for entry in requirements if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_nothing_in_the_locks_has_a_hole_that_is_known_here(lock, other_locks):
    """Offline, so it knows what is written in `FIXED_IN`; the weekly workflow asks for the list of the day."""
    for locked in map(_versions, [lock, *other_locks]):
        old = {name for name, fixed in FIXED_IN.items() if Version(locked.get(name, fixed)) < Version(fixed)}
        assert old == set()
    assert FIXED_IN.keys() <= _versions(lock).keys()


def test_the_installed_packages_fit_together():
    """The lock is installed without looking at what packages ask of each other, so that is looked at here."""
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_a_scaffolded_project_starts_from_the_locked_versions(lock, constraints):
    locked = _versions(lock)
    pinned = _versions(constraints)
    assert pinned
    assert {name: version for name, version in pinned.items() if locked[name] != version} == {}


def test_the_locks_and_the_constraints_name_no_address(lock, other_locks, constraints):
    assert (
        re.findall(r"://|--index|--extra-index|--find-links| @ ", "".join([lock, *other_locks, constraints])) == []
    )


def _imported_modules(package: Path) -> set[str]:
    files = [path for path in package.rglob("*.py") if not path.is_relative_to(TEMPLATES)]
    modules: set[str] = set()
    for node in (node for path in files for node in ast.walk(ast.parse(path.read_text("utf-8")))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module)
    return {module.partition(".")[0] for module in modules}


def _names(requirements: Iterable[str]) -> set[str]:
    return {_normalised(match[0]) for requirement in requirements if (match := _NAME.match(requirement))}


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _versions(text: str) -> dict[str, str]:
    return {_normalised(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}
