#!/bin/sh
# Runs the tests with the newest versions that pyproject.toml allows, in an environment that is thrown away.
# This is how a release of somebody else that breaks us is noticed before our users notice it.
set -eu
cd "$(dirname "$0")/.."

python=$(sh scripts/find-python.sh)
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
trap 'exit 130' INT TERM

"$python" -m venv "$directory"
newest=$directory/bin/python
"$newest" -m pip install --quiet --upgrade pip
"$newest" -m pip install --quiet --group dev --editable '.[openai,anthropic]'
"$newest" -m pip check
"$newest" -m pytest -n auto --maxprocesses 4 --dist worksteal "$@"
