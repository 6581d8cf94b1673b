"""The token that a person is shown when a registry starts for the first time."""

import asyncio
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

from groundwork.postgres.pool import open_pool
from registry.tokens.service import Tokens
from tests.processes import ROOT

_TOKEN = re.compile(r"jj_[\w-]{43}")


async def test_of_two_registries_that_start_together_one_makes_the_first_token(registry_dsn):
    async with (
        open_pool(registry_dsn, name="one", max_size=4) as one,
        open_pool(registry_dsn, name="two", max_size=4) as two,
    ):
        made = await asyncio.gather(*(Tokens(pool).create_first_token() for pool in [one, two] * 4))
        listed = await (await _execute(one, "SELECT role, tenant_id FROM tokens")).fetchall()
    assert len([created for created in made if created]) == 1
    assert listed == [{"role": "operator", "tenant_id": "default"}]


async def test_there_is_no_first_token_when_all_are_revoked(registry_pool):
    tokens = Tokens(registry_pool)
    assert await tokens.create_first_token()
    await _execute(registry_pool, "UPDATE tokens SET revoked_at = now()")
    assert await tokens.create_first_token() is None


def test_a_person_is_shown_the_first_token_once(registry_dsn):
    first, second = [_start_on_a_terminal(registry_dsn, b"started") for _ in range(2)]
    assert len(_TOKEN.findall(first)) == 1
    assert "not shown again" in first
    assert not _TOKEN.search(second)


def test_without_a_terminal_the_log_says_how_to_make_a_token(registry_dsn):
    log = _start_without_a_terminal(registry_dsn)
    assert "no token yet: registry tokens create --role operator" in log
    assert not _TOKEN.search(log)


def test_in_developer_mode_no_token_is_needed(registry_dsn):
    shown = _start_on_a_terminal(registry_dsn, b"started", JAMJET_DEV_MODE="true")
    assert "nobody is asked for a token" in shown
    assert not _TOKEN.search(shown)


async def _execute(pool, statement):
    async with pool.connection() as conn:
        return await conn.execute(statement)


def _serve(dsn, settings, **streams):
    settings = {"DATABASE_URL": dsn, "JAMJET_PORT": "0", "PYTHONPATH": str(ROOT)} | settings
    return subprocess.Popen([sys.executable, "-m", "registry", "serve"], env=os.environ | settings, **streams)


def _start_on_a_terminal(dsn, until, **settings):
    """What a person sees from the start to Ctrl-C."""
    ours, theirs = pty.openpty()
    process = _serve(dsn, settings, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = _read_until(ours, until)
    process.terminate()
    process.wait(20)
    os.close(ours)
    return seen


def _start_without_a_terminal(dsn):
    process = _serve(dsn, {}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seen = _read_until(process.stdout.fileno(), b"started")
    process.terminate()
    rest, _ = process.communicate(timeout=20)
    return seen + rest.decode()


def _read_until(descriptor, text, seconds=30):
    seen, deadline = b"", time.monotonic() + seconds
    while text not in seen.lower():
        readable, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
        if not readable:
            pytest.fail(f"never saw {text!r} in {seen!r}")
        seen += os.read(descriptor, 4096)
    return seen.decode()
