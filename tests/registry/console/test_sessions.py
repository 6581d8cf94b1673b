"""Who gets into the console, with what, and for how long."""

import hashlib

import pytest

from registry.access import COMMAND_LINE
from tests.registry.console.people import log_in, log_in_with, visitor
from tests.registry.registries import running_registry

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_root_leads_to_the_console_and_a_visitor_to_the_login_and_back(registry):
    person = await visitor(registry)
    assert (await person.get("/")).headers["location"] == "/console"
    assert (await person.get("/", headers={"Accept": "application/json"})).json() == {
        "error": "not found: there is no /"
    }
    asked = await person.get("/console/executions?status=failed")
    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "/console/login?next=%2Fconsole%2Fexecutions%3Fstatus%3Dfailed",
    )
    token = await registry.make_token("viewer")
    answer = await person.post("/console/login", token=token, next="/console/executions?status=failed")
    assert answer.headers["location"] == "/console/executions?status=failed"
    assert (await person.get("/console/executions")).status_code == 200


async def test_a_session_is_a_cookie_that_scripts_and_other_sites_do_not_get_and_a_hash_is_stored(registry):
    person = await visitor(registry)
    answer = await person.post("/console/login", token=await registry.make_token(), next="")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie  # on loopback
    plaintext = cookie.partition("=")[2].partition(";")[0]
    async with registry.registry.pool.connection() as conn:
        rows = await (await conn.execute("SELECT session_hash FROM console_sessions")).fetchall()
    stored = {row["session_hash"] for row in rows}
    assert hashlib.sha256(plaintext.encode()).digest() in stored
    assert plaintext.encode() not in stored


async def test_elsewhere_than_on_loopback_the_cookie_is_for_https_alone(registry):
    person, token = await visitor(registry), await registry.make_token()
    named = {"Host": "registry.example", "Origin": "https://registry.example"}
    answer = await person.http.post("/console/login", data={"token": token}, headers=named)
    assert "Secure" in answer.headers["set-cookie"]
    refused = await person.http.post(
        "/console/login", data={"token": token}, headers=named | {"Origin": "http://registry.example"}
    )
    assert (refused.status_code, "set-cookie" in refused.headers) == (400, False)
    assert "by https" in refused.text


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/console//\\evil", "/agents"])
async def test_a_login_leads_nowhere_else(registry, target):
    person = await visitor(registry)
    answer = await person.post("/console/login", token=await registry.make_token(), next=target)
    assert answer.headers["location"] in ("/console", target if target.startswith("/console/") else "/console")
    assert answer.headers["location"].startswith("/console")
    assert "\\" not in answer.headers["location"]


async def test_a_revoked_token_ends_its_sessions_with_the_next_request(registry):
    created = await registry.registry.tokens.create_token(COMMAND_LINE, role="operator")
    person = await log_in_with(registry, created.plaintext)
    await registry.http.delete(f"/tokens/{created.token.token_id}")
    assert (await person.get("/console/agents")).headers["location"].startswith("/console/login")


async def test_logging_out_everywhere_ends_all_sessions_of_the_token_and_no_other(registry):
    token = await registry.make_token()
    people = [await log_in_with(registry, token) for _ in range(3)]
    other = await log_in(registry)
    assert (await people[0].get("/console/sessions")).text.count("<code>ses_") == 3
    await people[0].post("/console/logout", all="1")
    codes = [(await person.get("/console/agents")).status_code for person in (*people, other)]
    assert codes == [303, 303, 303, 200]


async def test_a_session_that_was_idle_for_too_long_is_over(registry):
    person = await log_in(registry)
    async with registry.registry.pool.connection() as conn:
        await conn.execute("UPDATE console_sessions SET last_seen_at = now() - interval '8 hours 1 second'")
    assert (await person.get("/console/agents")).status_code == 303


async def test_a_session_reads_the_json_behind_a_page_and_changes_nothing_there(registry):
    person = await log_in(registry)
    assert (await person.get("/agents?skill=none")).json() == {"agents": []}
    assert (await person.http.post("/agents", json={})).status_code == 401


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({"Origin": "https://evil.example"}, {}),
        ({"Origin": "null"}, {}),
        ({}, {}),
        (None, {"form_token": ""}),
        (None, {"form_token": "0" * 64}),
    ],
)
async def test_a_form_of_another_site_is_refused_and_changes_nothing(registry, headers, form):
    person = await log_in(registry)
    before = (await registry.http.get("/tokens")).json()["total"]
    given = {"Origin": registry.url} if headers is None else headers
    answer = await person.http.post(
        "/console/tokens", data={"form_token": person.form_token, "role": "operator", **form}, headers=given
    )
    assert answer.status_code == 403
    assert (await registry.http.get("/tokens")).json()["total"] == before


async def test_in_developer_mode_nobody_logs_in_and_other_sites_are_refused(registry_dsn):
    async with running_registry(registry_dsn, jamjet_dev_mode=True) as registry:
        person = await visitor(registry)
        page = await person.get("/console/agents")
        assert (page.status_code, "Developer mode" in page.text) == (200, True)
        assert (await person.get("/console/agents", headers={"Host": "evil.example"})).status_code == 403
        evil = {"Origin": "https://evil.example"}
        assert (
            await person.http.post("/console/tokens", data={"role": "viewer"}, headers=evil)
        ).status_code == 403
