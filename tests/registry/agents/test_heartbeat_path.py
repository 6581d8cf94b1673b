"""Heartbeats have a door of their own, where everything holds that holds at the others."""

from tests.registry.agents.agents import beat, run_agent
from tests.registry.registries import running_registry


async def test_a_revoked_token_is_refused_at_once_by_every_registry(registry, registry_dsn):
    await run_agent(registry.http)
    token = await registry.make_token("developer")
    async with running_registry(registry_dsn) as other:
        mine, theirs = await registry.client(token), await other.client(token)
        assert [(await beat(http)).status_code for http in (mine, theirs)] == [200, 200]
        revoked = await registry.http.get("/tokens")
        (token_id,) = [each["token_id"] for each in revoked.json()["tokens"] if each["role"] == "developer"]
        await registry.http.delete(f"/tokens/{token_id}")
        assert [(await beat(http)).status_code for http in (mine, theirs)] == [401, 401]


async def test_a_heartbeat_that_is_refused_for_lack_of_rights_is_in_the_audit_log(registry):
    await run_agent(registry.http)
    assert (await beat(await registry.client_of("viewer"))).status_code == 403
    entry = (await registry.http.get("/audit?limit=1")).json()["items"][0]
    assert (entry["event_type"], entry["subject"]) == ("write_refused", "/agents/research-agent/heartbeat")


async def test_without_a_token_there_is_nothing_to_be_learnt(registry):
    answer = await beat(await registry.client(), "nobody")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="registry"')


async def test_the_door_is_there_under_the_prefix_too(registry):
    await run_agent(registry.http)
    assert (await registry.http.post("/jamjet/agents/research-agent/heartbeat")).status_code == 200


async def test_what_is_no_heartbeat_goes_on_to_the_app(registry):
    assert (await registry.http.get("/agents/research-agent/heartbeat")).status_code == 405
    assert (await registry.http.post("/agents/a/b/heartbeat")).status_code == 404


async def test_heartbeats_are_counted_under_their_route(registry):
    await run_agent(registry.http)
    await beat(registry.http)
    counted = 'registry_requests_total{method="POST",route="/agents/{agent_id}/heartbeat",status="200"} 1.0'
    assert counted in (await registry.http.get("/metrics")).text
