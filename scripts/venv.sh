#!/bin/sh
# Makes .venv from requirements.lock and puts the project into it, editable. Quick when there is nothing to do.
#
# The stamps are written last and say what was installed. An environment without them was interrupted; one that
# was made from another lock, in another place or for another Python is out of date: both are made anew.
set -eu
cd "$(dirname "$0")/.."

venv=.venv

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

# Without PYTHON any supported version will do, so the environment that is there decides.
wanted_version() {
    if [ -n "${PYTHON:-}" ]; then version_of "$PYTHON"; else version_of "$venv/bin/python"; fi
}

environment_key() {
    printf '%s %s %s\n' "$(wanted_version)" "$(cksum <requirements.lock)" "$(pwd -P)"
}

same_as() {
    [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}

run_pip() {
    # PIP_USER of a personal pip configuration makes no sense in an environment.
    PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 "$venv/bin/python" -m pip --no-input "$@"
}

show_progress() {
    [ -t 1 ] || exec cat >/dev/null
    awk '/^Collecting/ { printf "\r  package %d: %-50.50s", ++seen, $2; fflush() }
         /^Installing collected/ && seen { printf "\r  unpacking %d packages %-40s", seen, ""; fflush() }
         END { if (seen) printf "\r%-70s\r", "" }'
}

install() {
    log=$venv/install.log
    rm -f "$venv/installed"
    { run_pip install --no-deps "$@" 2>&1 && : >"$venv/installed"; } | tee "$log" | show_progress
    [ -f "$venv/installed" ] && return
    tail -n 30 "$log" >&2
    exit 1
}

if ! { version_of "$venv/bin/python" >/dev/null && same_as "$venv/environment.stamp" "$(environment_key)"; }; then
    python=$(sh scripts/find-python.sh)
    echo "Installing the packages of requirements.lock into $venv, with Python $(version_of "$python")"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    install --require-hashes -r requirements.lock
    environment_key >"$venv/environment.stamp"
fi

project_key=$(cksum <pyproject.toml)
if ! same_as "$venv/project.stamp" "$project_key"; then
    install --no-build-isolation --editable .
    echo "$project_key" >"$venv/project.stamp"
fi
