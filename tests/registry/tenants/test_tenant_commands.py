"""`registry tenants`, on the registry's database."""

import json

import pytest

from tests.registry.cli.commands import registry_command


@pytest.fixture
async def tenants(registry_dsn):
    """Runs `registry tenants` and returns what it ended with; there is a tenant called acme."""

    async def command(*arguments):
        return await registry_command("tenants", *arguments, database_url=registry_dsn)

    assert (await command("create", "acme", "--name", "Acme Corp")).exit_code == 0
    return command


async def _shown(tenants, tenant_id):
    return json.loads((await tenants("show", tenant_id, "--json")).stdout)


async def test_a_tenant_is_made_and_shown(tenants):
    shown = await _shown(tenants, "acme")
    assert (shown["id"], shown["name"], shown["status"]) == ("acme", "Acme Corp", "active")
    assert "Acme Corp" in (await tenants("show", "acme")).stdout


async def test_tenants_are_listed(tenants):
    listed = json.loads((await tenants("list", "--json")).stdout)
    assert [tenant["id"] for tenant in listed["tenants"]] == ["default", "acme"]
    heading, *rows = (await tenants("list")).stdout.splitlines()
    assert heading.split()[:2] == ["tenant", "id"]
    assert [row.split()[0] for row in rows] == ["default", "acme"]


async def test_only_the_limits_that_are_named_are_changed(tenants):
    await tenants("update", "acme", "--limit", "max_agents=5", "--limit", "max_cost_per_month_usd=9.5")
    await tenants("update", "acme", "--limit", "max_agents=6", "--limit", "executions_per_minute=60")
    await tenants("update", "acme", "--limit", "max_cost_per_month_usd=", "--name", "Acme")
    shown = await _shown(tenants, "acme")
    assert (shown["name"], shown["limits"]) == ("Acme", {"max_agents": 6, "executions_per_minute": 60})


async def test_a_tenant_is_suspended_and_deleted(tenants):
    assert json.loads((await tenants("update", "acme", "--status", "suspended", "--json")).stdout)["status"]
    done = await tenants("delete", "acme", "--yes", "--json")
    assert json.loads(done.stdout) == {"tenant_id": "acme", "deleted": True}
    assert (await tenants("show", "acme")).exit_code == 2


async def test_a_tenant_is_not_deleted_without_a_yes(tenants):
    await tenants("update", "acme", "--status", "archived")
    done = await tenants("delete", "acme")
    assert done.exit_code == 1
    assert (await _shown(tenants, "acme"))["status"] == "archived"


async def test_what_cannot_be_done_is_said_in_one_line(tenants):
    refused = {
        ("create", "acme"): "there is or was a tenant acme",
        ("create", "ACME"): "id: accepted: 1 to 63 lower-case letters",
        ("show", "nobody"): "registry: not found: tenant nobody",
        ("show", "\udcff"): "tenant",
        ("update", "nobody", "--name", "x"): "tenant nobody",
        ("update", "acme", "--status", "deleted"): "status should be 'active', 'suspended' or 'archived'",
        ("update", "acme", "--limit", "max_agents"): "--limit max_agents: accepted: NAME=NUMBER",
        ("update", "acme", "--limit", "max_agents=many"): "limits.max_agents should be a valid integer",
        ("update", "acme", "--limit", "max_cats=1"): "limits.max_cats is not known here",
        ("update", "acme", "--limit", "max_cost_per_month_usd=NaN"): "limits.max_cost_per_month_usd should be",
        ("update", "default", "--status", "suspended"): "tenant default manages all the others",
        ("delete", "acme", "--yes"): "tenant acme is active; suspend or archive it first",
    }
    for arguments, problem in refused.items():
        done = await tenants(*arguments)
        assert (done.exit_code, done.stdout) == (2, ""), arguments
        assert problem in done.stderr
        assert len(done.stderr.splitlines()) == 1
