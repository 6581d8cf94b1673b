"""An agent and a registry that is there, away, forgetful or unwilling."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from agent_runtime.live_settings.card_url import CardUrl
from agent_runtime.metrics import AgentMetrics
from groundwork.postgres.pool import DatabaseUnavailable
from tests.agent_runtime.registry_link.linking import HOME, linked
from tests.agent_runtime.tools.connecting import eventually
from tests.jamjet_runtime import JamjetRuntime
from tests.processes import free_port

NEVER = 3600
"""A heartbeat interval so long that whatever arrives is no heartbeat."""


@pytest.fixture
def jamjet() -> JamjetRuntime:
    return JamjetRuntime()


@pytest.fixture
async def url(jamjet: JamjetRuntime) -> AsyncIterator[str]:
    async with jamjet.served() as url:
        yield url


def refusal(status: int, text: str = "no") -> Response:
    return JSONResponse({"error": text}, status_code=status)


def counted(metrics: AgentMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0


async def test_an_agent_registers_activates_itself_and_beats(jamjet: JamjetRuntime, url: str) -> None:
    async with linked(url):
        await eventually(lambda: len(jamjet.told("heartbeat")) >= 2)
        (agent_id,) = jamjet.entries
        assert jamjet.verbs == ["register", "activate"]
        assert {call.agent_id for call in jamjet.calls} == {"", agent_id}
        assert jamjet.entries[agent_id]["status"] == "active"


async def test_every_call_says_which_process_it_is_from(jamjet: JamjetRuntime, url: str) -> None:
    async with linked(url), linked(url):
        await eventually(lambda: len({call.body["incarnation"] for call in jamjet.told("heartbeat")}) == 2)
    incarnations = {call.body["incarnation"] for call in jamjet.told("register")}
    assert {call.body["incarnation"] for call in jamjet.told("heartbeat")} == incarnations
    assert {call.body["incarnation"] for call in jamjet.told("deactivate")} == incarnations


async def test_heartbeats_are_never_further_apart_than_the_interval(jamjet: JamjetRuntime, url: str) -> None:
    async with linked(url, heartbeat=0.2):
        await eventually(lambda: jamjet.told("heartbeat"))
        began = time.monotonic()
        await eventually(lambda: len(jamjet.told("heartbeat")) >= 6)
        assert 5 * 0.17 < time.monotonic() - began < 5 * 0.2 + 0.15


async def test_an_odd_id_that_the_registry_makes_up_is_used_as_it_is(jamjet: JamjetRuntime, url: str) -> None:
    jamjet.id_maker = lambda: "agents/ä?#1"
    async with linked(url):
        await eventually(lambda: jamjet.told("heartbeat"))
    assert jamjet.told("heartbeat")[0].path == "/agents/agents%2F%C3%A4%3F%231/heartbeat"
    assert jamjet.statuses == {"deactivated": 1}


async def test_a_url_that_was_registered_before_is_found_again_and_activated(
    jamjet: JamjetRuntime, url: str
) -> None:
    async with linked(url) as link:
        await link.reached(5)
    async with linked(url) as link:
        await link.reached(5)
        assert jamjet.verbs == ["register", "activate", "deactivate", "register", "list", "activate"]
        assert jamjet.statuses == {"active": 1}


async def test_a_registry_that_fails_to_register_is_tried_again(jamjet: JamjetRuntime, url: str) -> None:
    jamjet.answers["register"] = [refusal(500, "disk full")]
    async with linked(url) as link:
        said = await link.reached(5)
        assert said.startswith("not reached yet: answered 500 Internal Server Error: disk full;")
        await eventually(lambda: link.state()["connected"])
    assert jamjet.verbs == ["register", "list", "register", "activate", "deactivate"]


@pytest.mark.parametrize(("path", "end"), [("", "/"), ("/jamjet", ""), ("/jamjet", "/")])
async def test_the_registrys_url_may_have_a_path_and_end_with_a_slash(
    jamjet: JamjetRuntime, path: str, end: str
) -> None:
    async with jamjet.served(prefix=path) as url, linked(url + end) as link:
        assert (await link.reached(5)).startswith("registered as ")
        await eventually(lambda: jamjet.told("heartbeat"))


async def test_the_token_is_sent_and_shown_nowhere(
    jamjet: JamjetRuntime, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    jamjet.answers["register"] = [refusal(401, "invalid token reg-canary")]
    async with linked(url, registry_token="reg-canary") as link:
        await link.reached(5)
        assert "reg-canary" not in str(link.state())
        await eventually(lambda: jamjet.told("heartbeat"))
    assert {call.token for call in jamjet.calls} == {"Bearer reg-canary"}
    assert "reg-canary" not in caplog.text


async def test_a_redirect_is_not_followed_and_the_token_stays(jamjet: JamjetRuntime, url: str) -> None:
    other = JamjetRuntime()
    async with other.served() as elsewhere:
        jamjet.always["register"] = RedirectResponse(f"{elsewhere}/agents", status_code=307)
        async with linked(url, registry_token="reg-canary") as link:
            assert "answered 307" in await link.reached(5)
    assert other.calls == []


async def test_an_agent_starts_without_its_registry_and_registers_when_it_comes(jamjet: JamjetRuntime) -> None:
    port = free_port()
    async with linked(f"http://127.0.0.1:{port}") as link:
        said = await link.reached(5)
        assert said.startswith("not reached yet: cannot connect: ")
        assert said.endswith("; the agent serves meanwhile and tries again")
        assert (link.state()["connected"], link.state()["url"]) == (False, f"http://127.0.0.1:{port}")
        async with jamjet.served(port=port):
            await eventually(lambda: link.state()["connected"], 3)
            assert jamjet.statuses == {"active": 1}


async def test_after_an_outage_heartbeats_go_on(jamjet: JamjetRuntime, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    async with linked(f"http://127.0.0.1:{port}") as link:
        async with jamjet.served(port=port):
            await eventually(lambda: jamjet.told("heartbeat"))
        await eventually(lambda: link.state()["status"] == "unavailable")
        await asyncio.sleep(2)  # several attempts
        before = len(jamjet.told("heartbeat"))
        async with jamjet.served(port=port):
            await eventually(lambda: len(jamjet.told("heartbeat")) > before, 2)
            await eventually(lambda: link.state()["connected"])
            assert caplog.text.count("registry unavailable, serving on") == 1
    assert jamjet.verbs == ["register", "activate"]


async def test_an_outage_with_many_faces_is_said_once(
    jamjet: JamjetRuntime, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    jamjet.answers["heartbeat"] = [refusal(503), Response("<h1>Bad gateway</h1>"), refusal(502)]
    async with linked(url) as link:
        await eventually(lambda: link.state()["status"] == "unavailable")
        await eventually(lambda: link.state()["connected"], 10)
        assert jamjet.answers["heartbeat"] == []
        assert caplog.text.count("registry unavailable, serving on") == 1


async def test_a_registry_that_has_forgotten_the_agent_gets_it_again_active(
    jamjet: JamjetRuntime, url: str
) -> None:
    async with linked(url) as link:
        await link.reached(5)
        jamjet.entries.clear()
        jamjet.answers["heartbeat"] = [refusal(404)]
        await eventually(lambda: jamjet.statuses == {"active": 1})
    assert jamjet.verbs == ["register", "activate", "register", "activate", "deactivate"]


async def test_an_agent_taken_for_dead_registers_again_and_stays_paused(jamjet: JamjetRuntime, url: str) -> None:
    async with linked(url) as link:
        await link.reached(5)
        (entry,) = jamjet.entries.values()
        entry["status"] = "paused"
        jamjet.answers["heartbeat"] = [refusal(410)]
        await eventually(lambda: jamjet.told("list"))
        beats = len(jamjet.told("heartbeat"))
        await eventually(lambda: len(jamjet.told("heartbeat")) > beats)
        assert jamjet.statuses == {"paused": 1}
    assert jamjet.verbs == ["register", "activate", "register", "list", "deactivate"]


@pytest.mark.parametrize("status", [401, 404, 422])
async def test_a_refusal_is_said_once_and_tried_again(
    jamjet: JamjetRuntime, url: str, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    jamjet.always["register"] = refusal(status, "insufficient role")
    async with linked(url) as link:
        await eventually(lambda: len(jamjet.told("register")) == 2)
        assert link.state()["last_error"].endswith(": insufficient role")
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert f"answered {status}" in caplog.text
        jamjet.always.clear()
        await eventually(lambda: link.state()["connected"])


async def test_an_activation_that_failed_is_made_up_for(jamjet: JamjetRuntime, url: str) -> None:
    jamjet.answers["activate"] = [refusal(503)]
    async with linked(url) as link:
        await eventually(lambda: link.state()["connected"])
        assert jamjet.statuses == {"active": 1}


@pytest.mark.parametrize(
    "answer",
    [
        Response("<html>welcome</html>", media_type="text/html"),
        JSONResponse(["agent_id"]),
        JSONResponse({"ok": True}),
        JSONResponse({"agent_id": "x", "padding": "x" * 9_000_000}),
        Response(b"[" * 100_000, media_type="application/json"),
    ],
    ids=["html", "array", "no-id", "huge", "nested"],
)
async def test_an_answer_that_is_no_registrys_is_no_registration(
    jamjet: JamjetRuntime, url: str, answer: Response
) -> None:
    jamjet.always["register"] = answer
    async with linked(url) as link:
        assert (await link.reached(5)).startswith("not reached yet: the answer ")
        assert jamjet.verbs == ["register"]


async def test_a_changed_url_is_registered_at_once_and_the_entry_of_the_former_one_taken_off(
    jamjet: JamjetRuntime, url: str
) -> None:
    card_url = CardUrl(HOME, None)
    async with linked(url, card_url=card_url, heartbeat=NEVER) as link:
        await link.reached(5)
        await card_url.change("http://elsewhere.test")
        await eventually(lambda: jamjet.verbs[2:] == ["register", "deactivate", "activate"], 1)
        statuses = {entry["card"]["uri"]: entry["status"] for entry in jamjet.entries.values()}
    assert statuses == {HOME: "deactivated", "http://elsewhere.test": "active"}


async def test_a_url_changed_while_the_registry_does_not_answer_is_registered_when_it_does(
    jamjet: JamjetRuntime, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_runtime.registry_link.client._CALL_SECONDS", 2.0)
    card_url = CardUrl(HOME, None)
    async with linked(url, card_url=card_url) as link:
        await link.reached(5)
        jamjet.silent = True
        began = time.monotonic()
        await card_url.change("http://elsewhere.test")
        assert time.monotonic() - began < 0.5
        await eventually(lambda: not link.state()["connected"])
        jamjet.silent = False
        await eventually(lambda: jamjet.statuses["active"] == 1 and len(jamjet.entries) == 2)


async def test_a_failing_health_check_is_told_at_once_and_so_is_its_end(jamjet: JamjetRuntime, url: str) -> None:
    broken = True

    async def check() -> None:
        if broken:
            raise DatabaseUnavailable("the database cannot be used right now")

    async with linked(url, check_ready=check):
        await eventually(lambda: jamjet.told("heartbeat"))
        await eventually(lambda: jamjet.told("heartbeat")[-1].body["health"] == "failing")
        assert jamjet.told("heartbeat")[-1].body["reason"] == "the database cannot be used right now"
        broken = False
        await eventually(lambda: jamjet.told("heartbeat")[-1].body["health"] == "ok")


async def test_a_health_check_that_hangs_delays_no_heartbeat(jamjet: JamjetRuntime, url: str) -> None:
    async def check() -> None:
        await asyncio.sleep(60)

    async with linked(url, check_ready=check):
        await eventually(lambda: len(jamjet.told("heartbeat")) >= 5, 2)
        await eventually(lambda: jamjet.told("heartbeat")[-1].body["health"] == "failing", 4)
        assert "did not answer within 3 seconds" in jamjet.told("heartbeat")[-1].body["reason"]


async def test_an_agent_that_is_told_to_stop_leaves_at_once_and_beats_no_more(
    jamjet: JamjetRuntime, url: str
) -> None:
    async with linked(url) as link:
        await eventually(lambda: jamjet.told("heartbeat"))
        link.leave()
        await eventually(lambda: jamjet.told("deactivate"), 1)
        heard = len(jamjet.calls)
        await asyncio.sleep(0.4)
        assert len(jamjet.calls) == heard
        assert not link.state()["connected"]
    assert len(jamjet.calls) == heard


async def test_a_closed_link_has_left(jamjet: JamjetRuntime, url: str) -> None:
    async with linked(url, heartbeat=NEVER) as link:
        await link.reached(5)
    assert jamjet.verbs[-1] == "deactivate"
    assert jamjet.statuses == {"deactivated": 1}


async def test_a_registry_that_does_not_answer_holds_up_the_end_for_a_moment_only(
    jamjet: JamjetRuntime, url: str
) -> None:
    async with linked(url, heartbeat=10) as link:
        await link.reached(5)
        jamjet.silent = True
        began = time.monotonic()
    assert time.monotonic() - began < 3
    jamjet.silent = False


async def test_a_registry_that_is_away_does_not_hold_up_the_end(jamjet: JamjetRuntime) -> None:
    async with jamjet.served() as url, asyncio.timeout(10):
        link = linked(url)
        await (await link.__aenter__()).reached(5)
    began = time.monotonic()
    await link.__aexit__(None, None, None)
    assert time.monotonic() - began < 1


async def test_a_process_told_to_stop_at_once_does_not_wait_for_a_goodbye(jamjet: JamjetRuntime, url: str) -> None:
    async def serve() -> None:
        async with linked(url, heartbeat=NEVER) as link:
            await link.reached(5)
            jamjet.silent = True
            await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    await eventually(lambda: jamjet.silent)
    began = time.monotonic()
    serving.cancel()
    await asyncio.wait({serving})
    jamjet.silent = False
    assert time.monotonic() - began < 0.5


async def test_an_agent_without_an_id_is_not_registered_and_says_so(
    jamjet: JamjetRuntime, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with linked(url, agent_id=None) as link:
        assert await link.reached(5) == "not registered: AGENT_ID is not set, and an agent is registered by its id"
        assert link.state()["last_error"].startswith("AGENT_ID is not set")
        await asyncio.sleep(0.3)
    assert jamjet.calls == []
    assert caplog.text.count("AGENT_ID is not set") == 1


async def test_registration_and_heartbeats_are_counted(jamjet: JamjetRuntime, url: str) -> None:
    metrics = AgentMetrics()
    jamjet.answers["heartbeat"] = [refusal(404), refusal(410), refusal(401), refusal(500)]
    async with linked(url, metrics=metrics):
        await eventually(lambda: counted(metrics, "agent_heartbeats_total", outcome="ok") > 1)
        assert counted(metrics, "agent_registered") == 1
    for outcome in ("forgotten", "expired", "refused", "unavailable"):
        assert counted(metrics, "agent_heartbeats_total", outcome=outcome) == 1
    assert counted(metrics, "agent_registered") == 0
