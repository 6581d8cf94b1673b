#!/bin/sh
# Prints the path of the Python to work with: $PYTHON when it is set, else the newest supported one found here.
# Each candidate is tried by running it, because a command of that name may be a shim with nothing behind it.
set -u

can_make_environments='import ensurepip, sys, venv; print(sys.executable)'
incomplete=

if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- python3.13 python3.12 python3.11 python3 python
fi
for candidate; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    if path=$("$candidate" -c "$can_make_environments" 2>/dev/null); then
        printf '%s\n' "$path"
        exit 0
    fi
    incomplete=${incomplete:-$candidate}
done

if [ -n "$incomplete" ]; then
    version=$("$incomplete" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$incomplete cannot make virtual environments: its modules venv and ensurepip are not installed." >&2
    echo "On Debian and Ubuntu: apt install python$version-venv. Or name another one: make PYTHON=python3.12 ..." >&2
elif [ -n "${PYTHON:-}" ]; then
    echo "PYTHON=$PYTHON is not a Python 3.11 or newer that runs." >&2
else
    echo "No Python 3.11 or newer was found here. Install one, or name it: make PYTHON=/path/to/python3 ..." >&2
fi
exit 1
