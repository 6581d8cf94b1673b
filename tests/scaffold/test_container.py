"""The container's build, by its pip steps: it takes the wheel that was put into the project, and no index."""

import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from tests.scaffold.project import REPOSITORY, new_agent

PACKAGES = ("admin_api", "agent_runtime", "groundwork", "registry", "scaffold")


def test_the_pip_steps_of_the_dockerfile_install_the_wheel_that_is_there(tmp_path: Path) -> None:
    project = tmp_path / "my-agent"
    assert new_agent("my-agent", cwd=tmp_path).returncode == 0
    build_wheel(tmp_path / "source", project / "wheels")
    dockerfile = (project / "Dockerfile").read_text("utf-8")
    copied = re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE)
    assert all((project / name).exists() for name in " ".join(copied).split() if "*" not in name)
    [step] = re.findall(r"^RUN pip (install .*)$", dockerfile, re.MULTILINE)
    beside = ("--no-index", "--no-deps", "--no-compile", "--quiet", "--target", str(tmp_path / "image"))
    subprocess.run([sys.executable, "-m", "pip", *shlex.split(step), *beside], cwd=project, check=True)
    for command in ("agent-runtime", "registry", "scaffold", "jamjet-server"):
        assert (tmp_path / "image/bin" / command).exists()


def test_what_is_secret_or_only_of_this_machine_stays_here(tmp_path: Path) -> None:
    assert new_agent("my-agent", cwd=tmp_path).returncode == 0
    project = tmp_path / "my-agent"
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
    assert {".env", ".data/", ".jamjet/"} <= set((project / ".gitignore").read_text().split())
    ignored = (project / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    assert "!wheels" in ignored


def build_wheel(source: Path, place: Path) -> None:
    """Of a copy: setuptools leaves its own files beside what it builds from."""
    source.mkdir()
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        place,
        source,
    ]
    subprocess.run([*map(str, command)], check=True)
