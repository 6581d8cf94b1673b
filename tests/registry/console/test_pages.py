"""The pages: for whom, how large, and that what others wrote stands on them as text."""

import asyncio
import re

import pytest

from registry.access import ROLES
from registry.console.conversations import conversation_path
from tests.registry.agents.agents import run_agent
from tests.registry.console.lived_in import SPOKEN
from tests.registry.console.people import log_in, visitor
from tests.registry.executions.runs import REVIEW, paused, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVERYBODY, OPERATORS = ROLES, ("operator",)
PAGES = {
    "/console/agents": EVERYBODY,
    "/console/executions": EVERYBODY,
    "/console/workflows": EVERYBODY,
    "/console/components": EVERYBODY,
    "/console/components/new": EVERYBODY,
    "/console/cron": EVERYBODY,
    "/console/workers": EVERYBODY,
    "/console/decisions": EVERYBODY,
    "/console/decisions?state=decided": EVERYBODY,
    "/console/usage": EVERYBODY,
    "/console/audit": EVERYBODY,
    "/console/sessions": EVERYBODY,
    "/console/tokens": OPERATORS,
    "/console/tenants": OPERATORS,
    "/console/tenants/default": OPERATORS,
}
FORMS = {
    "/console/agents/discover": ("operator", "developer"),
    "/console/agents/a/pause": ("operator", "developer"),
    "/console/agents/a/drain": ("operator", "developer"),
    "/console/agents/a/resume": ("operator", "developer"),
    "/console/agents/a/activate": ("operator", "developer"),
    "/console/agents/a/deactivate": ("operator", "developer"),
    "/console/agents/a/delete": ("operator", "developer"),
    "/console/agents/a/memory": ("operator", "developer"),
    "/console/agents/a/card-url": ("operator", "developer"),
    "/console/agents/a/talk": ("operator", "developer"),
    "/console/agents/a/conversation/erase": OPERATORS,
    "/console/decisions/d": ("operator", "developer"),
    "/console/executions/exec_0/cancel": ("operator", "developer"),
    "/console/executions/exec_0/restart": ("operator", "developer"),
    "/console/executions/selected": ("operator", "developer"),
    "/console/executions/exec_0/approve": ("operator", "developer"),
    "/console/components/new": ("operator", "developer"),
    "/console/components/prompt/p": ("operator", "developer"),
    "/console/components/prompt/p/rollback": ("operator", "developer"),
    "/console/components/prompt/p/delete": ("operator", "developer"),
    "/console/workflows/w/start": ("operator", "developer"),
    "/console/cron": ("operator", "developer"),
    "/console/cron/c/delete": ("operator", "developer"),
    "/console/tokens": OPERATORS,
    "/console/tokens/t/revoke": OPERATORS,
    "/console/tenants": OPERATORS,
    "/console/tenants/default": OPERATORS,
}

_TARGET = re.compile(r'(?:href|src)="([^"#]*)"')
_ACTION = re.compile(r'<form method="post" action="([^"]*)"')


async def test_each_role_sees_and_sends_what_it_may_by_the_api(registry):
    for role in EVERYBODY:
        person = await log_in(registry, role)
        seen = {path: (await person.get(path)).status_code for path in PAGES}
        assert seen == {path: 200 if role in roles else 403 for path, roles in PAGES.items()}
        sent = {path: (await person.post(path)).status_code for path in FORMS}
        assert {path for path, status in sent.items() if status == 403} == {
            path for path, roles in FORMS.items() if role not in roles
        }
    refused = (await registry.http.get("/audit?event_type=write_refused&limit=200")).json()["items"]
    assert set(FORMS) <= {entry["raw_event"]["path"] for entry in refused}


async def test_an_operator_of_another_tenant_changes_no_tenant(registry):
    person = await log_in(registry, "operator", "acme")
    assert (await person.post("/console/tenants", id="other")).status_code == 403
    assert (await person.get("/console/tenants/default")).status_code == 404


async def test_pages_are_kept_by_no_cache_let_nothing_foreign_in_and_are_small(registry):
    person = await log_in(registry)
    page = await person.get("/console/agents")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["content-security-policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'"
    )
    assert page.headers["x-content-type-options"] == "nosniff"
    statics = [target for target in _TARGET.findall(page.text) if "/static/" in target]
    answers = [await person.get(target) for target in statics]
    assert {answer.headers["cache-control"] for answer in answers} == {"public, max-age=31536000, immutable"}
    assert len(page.content) + sum(len(answer.content) for answer in answers) < 60_000
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=|javascript:", page.text)


async def test_a_list_is_sent_in_part_and_not_again_while_nothing_has_changed(registry):
    await run_agent(registry.http, "sent-once", skills=["sent-once"])
    person, path = await log_in(registry), "/console/agents?skill=sent-once"
    part = await person.get(path, headers={"X-Fragment": "live"})
    assert "<html" not in part.text
    assert part.text.strip() in (await person.get(path)).text
    again = {"X-Fragment": "live", "If-None-Match": part.headers["etag"]}
    assert (await person.get(path, headers=again)).status_code == 304
    await registry.http.post("/agents/sent-once/pause")
    assert (await person.get(path, headers=again)).status_code == 200


async def test_every_link_and_form_leads_somewhere_and_all_that_others_wrote_is_text(registry):
    person = await log_in(registry)
    left, seen, forms = ["/console/agents"], set(), set()
    while left:
        path = left.pop()
        seen.add(path)
        answer = await person.get(path)
        # Of agents that are down some pages are not there; `helper` is up.
        is_down = "/agents/" in path and "/agents/helper" not in path
        assert answer.status_code in ((200, 303, 503) if is_down else (200, 303)), path
        if not path.startswith("/console") or "html" not in answer.headers.get("content-type", ""):
            continue
        assert "<script>alert" not in answer.text, path
        assert "<b>" not in answer.text, path
        assert "7006652" not in answer.text, path
        forms |= set(_ACTION.findall(answer.text))
        found = {target.replace("&amp;", "&") for target in _TARGET.findall(answer.text)}
        left += [target for target in found if target not in seen and target not in left]
    assert f"/console/executions/{registry.execution_id}" in seen
    assert {"/console/components/prompt/canary?old=1&new=2", "/console/agents/canary"} <= seen
    assert {conversation_path("helper", SPOKEN), "/console/agents/helper/turns"} <= seen
    person.form_token = "of another session"
    assert {path: (await person.post(path)).status_code for path in forms} == dict.fromkeys(forms, 403)


async def test_a_decision_is_taken_by_the_form_and_once(registry):
    person, execution_id = await log_in(registry), await paused(registry.http, REVIEW)
    page = (await person.get(f"/console/executions/{execution_id}")).text
    assert "for a decision at review" in page
    path = f"/console/executions/{execution_id}/approve"
    answers = await asyncio.gather(
        *[person.post(path, node_id="review", decision=decision) for decision in ("approved", "rejected")]
    )
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert (await until(registry.http, execution_id))["status"] in ("completed", "failed")


async def test_executions_are_cancelled_and_started_again_several_at_once(registry):
    person = await log_in(registry, "developer")
    ids = [await paused(registry.http, REVIEW, number=number) for number in range(2)]
    selected = {f"selected-{execution_id}": "on" for execution_id in ids}
    for wanted in ("cancel", "restart"):
        sent = await person.post("/console/executions/selected", do=wanted, **selected)
        assert sent.status_code == 303, sent.text
    again = (await registry.http.get("/audit?event_type=execution_started&limit=2")).json()["items"]
    assert {entry["raw_event"]["again_of"] for entry in again} == set(ids)
    begun = await until(registry.http, again[0]["execution_id"], "paused")
    assert begun["initial_input"]["number"] in (0, 1)
    late = await person.post("/console/executions/selected", do="cancel", **selected)
    assert (late.status_code, "0 of 2 are done" in late.text) == (409, True)


async def test_a_prompt_is_edited_compared_and_rolled_back_and_a_lost_update_refused(registry):
    person = await log_in(registry)
    path = "/console/components/prompt/support"
    made = await person.post(
        "/console/components/new", kind="prompt", component_id="support", content='{"template": "One"}'
    )
    assert made.headers["location"] == f"{path}?done=saved"
    await person.post(path, version="1", content='{"template": "Two"}')
    late = await person.post(path, version="1", content='{"template": "Three"}')
    assert (late.status_code, "at version 2" in late.text) == (409, True)
    page = (await person.get(f"{path}?old=1&new=2")).text
    assert '<span class="removed">-One</span>' in page
    assert '<span class="added">+Two</span>' in page
    await person.post(f"{path}/rollback", version="1", current="2")
    assert (await registry.http.get("/components/prompt/support")).json()["content"] == {"template": "One"}


async def test_a_new_tokens_plaintext_is_on_one_page_only(registry):
    person = await log_in(registry)
    made = await person.post("/console/tokens", role="viewer", name="for a test")
    [plaintext] = set(re.findall(r"jj_[\w-]{43}", made.text))
    assert (await (await registry.client(plaintext)).get("/agents")).status_code == 200
    assert "jj_" not in (await person.get("/console/tokens")).text


async def test_an_error_is_a_page_that_says_what_and_leads_back(registry):
    person = await log_in(registry)
    for path, status in (
        ("/console/agents/none", 404),
        ("/console/nowhere", 404),
        ("/console/agents?stat=x", 400),
    ):
        answer = await person.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert 'href="/console"' in answer.text
    assert "stat is not known here; accepted parameters" in (await person.get("/console/agents?stat=x")).text


async def test_a_visitor_is_told_nothing_but_to_log_in(registry):
    person = await visitor(registry)
    for path in (*PAGES, "/console/agents/none", "/console/nowhere"):
        assert (await person.get(path)).headers["location"].startswith("/console/login?next=")
    assert (await person.get("/console/agents", headers={"X-Fragment": "live"})).status_code == 401
