"""`registry tokens`, on the registry's database."""

import json
import os
import subprocess
import sys

import pytest

from tests.processes import ROOT
from tests.registry.cli.commands import registry_command
from tests.registry.registries import running_registry


@pytest.fixture
def database(registry_dsn):
    return {"database_url": registry_dsn}


async def test_a_shell_gets_the_token_and_nothing_else(registry_dsn):
    command = f"{sys.executable} -m registry tokens create --role operator"
    environment = os.environ | {"DATABASE_URL": registry_dsn, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", f'TOKEN=$({command}); printf %s "$TOKEN"'], env=environment, capture_output=True
    )
    token = done.stdout.decode()
    assert token.startswith("jj_")
    assert token.split() == [token]
    assert "operator of tenant default, until it is revoked" in done.stderr.decode()
    async with running_registry(registry_dsn) as served:
        assert (await (await served.client(token)).get("/tokens")).status_code == 200


async def test_a_token_of_a_tenant_that_expires(database):
    await registry_command("tenants", "create", "acme", **database)
    options = ("--role", "viewer", "--tenant", "acme", "--name", "ci", "--expires", "12h", "--json")
    made = json.loads((await registry_command("tokens", "create", *options, **database)).stdout)
    assert (made["tenant_id"], made["role"], made["name"], made["status"]) == ("acme", "viewer", "ci", "active")
    assert made["expires_at"] > made["created_at"]
    assert made["token"].startswith("jj_")


async def test_tokens_are_listed_without_their_plaintext(database):
    plaintext = (await registry_command("tokens", "create", "--role", "viewer", **database)).stdout.strip()
    table = (await registry_command("tokens", "list", **database)).stdout
    listed = json.loads((await registry_command("tokens", "list", "--json", **database)).stdout)
    assert listed["total"] == len(listed["tokens"]) == 1
    assert listed["tokens"][0]["token_id"] in table
    assert plaintext not in table + json.dumps(listed)


async def test_only_one_tenants_tokens_are_listed(database):
    await registry_command("tenants", "create", "acme", **database)
    await registry_command("tokens", "create", "--role", "viewer", **database)
    done = await registry_command("tokens", "list", "--tenant", "acme", "--json", **database)
    assert json.loads(done.stdout) == {"tokens": [], "total": 0}


async def test_a_token_is_revoked(database):
    await registry_command("tokens", "create", "--role", "viewer", **database)
    [token] = json.loads((await registry_command("tokens", "list", "--json", **database)).stdout)["tokens"]
    done = await registry_command("tokens", "revoke", token["token_id"], "--json", **database)
    assert json.loads(done.stdout) == {"token_id": token["token_id"], "revoked": True}
    [token] = json.loads((await registry_command("tokens", "list", "--json", **database)).stdout)["tokens"]
    assert token["status"] == "revoked"


async def test_what_cannot_be_done_is_said_in_one_line(database):
    refused = {
        ("create", "--role", "admin"): "role should be 'operator', 'developer', 'reviewer' or 'viewer'",
        ("create", "--role", "viewer", "--expires", "soon"): "expires: accepted: a text such as 30d",
        ("create", "--role", "viewer", "--tenant", "acme"): "tenant acme",
        ("create", "--role", "viewer", "--tenant", "\udcff"): "tenant",
        ("create", "--role", "viewer", "--name", "\udcff"): "name",
        ("list", "--tenant", "acme"): "tenant acme",
        ("revoke", "tok_0000000000000000"): "token tok_0000000000000000",
    }
    for arguments, problem in refused.items():
        done = await registry_command("tokens", *arguments, **database)
        assert (done.exit_code, done.stdout) == (2, ""), arguments
        assert problem in done.stderr
        assert len(done.stderr.splitlines()) == 1
