"""When several things are wrong with a request, the first in the contract's order is what it is told."""

from dataclasses import dataclass

import httpx

from admin_api import MountedAgent
from tests.admin_api.answers import error_of, like, outcome, serve
from tests.admin_api.conftest import Talk

THREADS = "/api/v1/memory/threads"
MIGRATE = "/api/v1/memory/migrate-agent-id"
CONFIG = "/api/v1/memory/config"
TOKEN = {"Authorization": "Bearer right"}

BAD_PARAM = (400, "INVALID_PARAM")
BAD_BODY = (400, "INVALID_BODY")
NO_ID = (400, "MISSING_THREAD_ID")
FORBIDDEN = (403, "FORBIDDEN")
NOT_FOUND = (404, "THREAD_NOT_FOUND")


@dataclass(frozen=True)
class Call:
    """A request with several things wrong, and what it is told, from the first guard to the last."""

    method: str
    path: str
    body: bytes | None
    with_everything: tuple[int, str]
    """Of an agent that has memory and an id."""
    needs_memory: bool = True
    needs_agent_id: bool = True


CALLS = [
    Call("GET", f"{THREADS}?x=1", None, BAD_PARAM),
    Call("GET", f"{THREADS}?cursor=nonsense", None, BAD_PARAM),
    Call("DELETE", f"{THREADS}?x=1", None, NO_ID),
    Call("GET", f"{THREADS}//messages?x=1", None, NO_ID),
    Call("GET", f"{THREADS}/a%00/messages?x=1", None, BAD_PARAM),
    Call("GET", f"{THREADS}/theirs/messages?x=1", None, BAD_PARAM),
    Call("GET", f"{THREADS}/none/messages", None, NOT_FOUND),
    Call("GET", f"{THREADS}/export?x=1", None, NO_ID),
    Call("GET", f"{THREADS}/export?caller=ada&x=1", None, BAD_PARAM),
    Call("GET", f"{THREADS}/none/export", None, NOT_FOUND),
    Call("GET", f"{THREADS}/theirs/export", None, FORBIDDEN),
    Call("GET", f"{THREADS}/theirs/messages", None, FORBIDDEN),
    Call("DELETE", f"{THREADS}/theirs?x=1", None, BAD_PARAM),
    Call("DELETE", f"{THREADS}/none", None, NOT_FOUND),
    Call("DELETE", f"{THREADS}/theirs", None, FORBIDDEN),
    Call("POST", f"{MIGRATE}?x=1", b"{", BAD_BODY),
    Call("POST", MIGRATE, b'{"old_id": "a", "new_id": "a"}', BAD_PARAM),
    Call("POST", MIGRATE, b'{"old_id": "a", "new_id": 1}', BAD_PARAM),
    Call("POST", MIGRATE, b'{"old_id": "a", "new_id": "b"}', FORBIDDEN),
    Call("PATCH", f"{CONFIG}?x=1", b"{", BAD_BODY, needs_agent_id=False),
    Call("PATCH", CONFIG, b'{"backend": "memory", "x": 1}', BAD_PARAM, needs_agent_id=False),
    Call("PATCH", CONFIG, b'{"backend": "memory", "window_size": 0}', BAD_PARAM, needs_agent_id=False),
    Call("PATCH", f"{CONFIG}?x=1", b'{"backend": 1}', (422, "IMMUTABLE_FIELD"), needs_agent_id=False),
    Call("PATCH", "/api/v1/card/url?x=1", b"{", BAD_BODY, needs_memory=False, needs_agent_id=False),
    Call("PATCH", "/api/v1/card/url", b'{"url": "x"}', BAD_PARAM, needs_memory=False, needs_agent_id=False),
    Call("GET", "/api/v1/status?x=1", None, BAD_PARAM, needs_memory=False, needs_agent_id=False),
    Call("GET", "/api/v1/unknown", None, (404, "NOT_FOUND"), needs_memory=False, needs_agent_id=False),
    Call("PUT", "/status", None, (405, "METHOD_NOT_ALLOWED"), needs_memory=False, needs_agent_id=False),
]


async def ask(client: httpx.AsyncClient, call: Call, headers: dict[str, str]) -> tuple[int, str]:
    return outcome(await client.request(call.method, call.path, content=call.body, headers=headers))


async def test_the_first_problem_in_the_order_of_the_contract_is_told(
    agent: MountedAgent, other_agent: MountedAgent, talk: Talk
) -> None:
    await talk(other_agent, "theirs")
    bare = like(agent, memory_enabled=False, agent_id=None)
    nameless = like(agent, agent_id=None)
    async with (
        serve(bare, token="right") as without_both,
        serve(nameless, token="right") as without_id,
        serve(agent, token="right") as with_everything,
    ):
        for call in CALLS:
            last = call.with_everything
            assert await ask(without_both, call, {}) == (401, "UNAUTHORIZED")
            disabled = (404, "MEMORY_DISABLED") if call.needs_memory else last
            assert await ask(without_both, call, TOKEN) == disabled, call
            unnamed = (409, "AGENT_ID_REQUIRED") if call.needs_agent_id else last
            assert await ask(without_id, call, TOKEN) == unnamed, call
            assert await ask(with_everything, call, TOKEN) == last, call


async def test_the_memory_configuration_is_shown_while_memory_is_disabled(idle_agent: MountedAgent) -> None:
    async with serve(like(idle_agent, memory_enabled=False, agent_id=None)) as client:
        assert (await client.get(CONFIG)).json()["data"]["enabled"] is False
        assert (await client.get("/status")).json()["data"]["agent_id"] is None
        assert (await client.get("/api/v1/card/url")).status_code == 200


async def test_a_conversation_of_another_agent_stays_unseen_and_whole(
    client: httpx.AsyncClient, other_agent: MountedAgent, talk: Talk
) -> None:
    await talk(other_agent, "theirs", "a secret")
    for method, path in (("GET", f"{THREADS}/theirs/messages"), ("DELETE", f"{THREADS}/theirs")):
        answer = await client.request(method, path)
        assert outcome(answer) == FORBIDDEN
        assert error_of(answer)["thread_id"] == "theirs"
        assert "secret" not in answer.text
    assert len((await other_agent.threads.get_messages("theirs")).messages) == 2


async def test_runtime_control_without_a_registry_is_unavailable(idle_agent: MountedAgent) -> None:
    async with serve(like(idle_agent, runtime_control_enabled=True)) as client:
        for method, path in (
            ("GET", "/api/v1/registry/metadata"),
            ("GET", "/internal/runtime-metadata"),
            ("POST", "/api/v1/registry/reload"),
            ("POST", "/internal/reload"),
        ):
            assert outcome(await client.request(method, path)) == (409, "RUNTIME_UNAVAILABLE")
            assert outcome(await client.request(method, f"{path}?x=1")) == BAD_PARAM
