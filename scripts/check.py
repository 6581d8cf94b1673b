"""Runs the tests that belong to the files that differ from the last commit, or from the one named as an argument.

Those are the changed tests, the ones named after a changed module, and the ones that import it.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    changed = changed_files(arguments[0] if arguments else "HEAD")
    chosen = sorted({test for path in changed for test in tests_of(path)})
    if not chosen:
        print("no test belongs to what has changed")
        return 0
    print(f"{len(chosen)} files of tests belong to {len(changed)} changed files")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "4", *chosen], cwd=ROOT, check=False
    ).returncode


def changed_files(base: str) -> list[Path]:
    """Return what differs from `base`, and what git does not know yet, as paths below the root."""
    listings = (["diff", "--name-only", base], ["ls-files", "--others", "--exclude-standard"])
    names = [
        name
        for listing in listings
        for name in subprocess.run(
            ["git", *listing], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.splitlines()
    ]
    return [Path(name) for name in names if (ROOT / name).is_file()]


def tests_of(path: Path) -> list[str]:
    if path.parts[0] == "tests":
        return [str(path)] if path.name.startswith("test_") else []
    if path.suffix in (".md", ".example", ".toml"):
        return ["tests/test_documentation.py"]
    if path.name == "queries.sql":
        path = path.with_name("store.py")
    if path.suffix != ".py":
        return []
    module = ".".join(path.with_suffix("").parts)
    imports = re.compile(rf"^\s*(from|import) {re.escape(module)}\b", re.MULTILINE)
    return [
        str(test.relative_to(ROOT))
        for test in (ROOT / "tests").rglob("test_*.py")
        if (test.stem == f"test_{path.stem}" and path.parts[0] in test.parts)
        or imports.search(test.read_text("utf-8"))
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
