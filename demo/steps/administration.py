"""Every call of the admin API."""

from urllib.parse import quote

from demo.a2a import open_peer
from demo.calls import say_with_curl
from demo.database import rows_naming
from demo.json_text import only
from demo.steps.conversation import CONTEXT, ask
from demo.steps.project import AGENT_ID
from demo.steps.registry import see_the_url
from demo.tour import Tour

_PROXY = "https://agents.example.com/my-agent"
_THREADS = "/api/v1/memory/threads"
_OTHER_CONTEXT = "support/42"
_LATER_ID = "ada-agent"


async def look_at_the_status(tour: Tour) -> None:
    tour.screen.say(
        "The agent's id, and the state of its registry and of each MCP server and A2A peer named in `agent.toml`:"
        " none yet."
    )
    status = await tour.admin("GET", "/api/v1/status")
    tour.check(
        list(status) == ["agent_id", "mcp", "a2a"] and status["a2a"]["registry"]["connected"],
        "these three keys, and nothing else; the registry is there",
        status,
    )
    tour.screen.say("The same at the path of older clients:")
    tour.check(await tour.admin("GET", "/status") == status, "both paths answer alike")


async def change_the_card(tour: Tour) -> None:
    tour.screen.say("The agent moves behind a proxy. Its card says so at once, and after a restart too.")
    before = await tour.admin("GET", "/api/v1/card/url")
    changed = await tour.admin("PATCH", "/api/v1/card/url", {"url": _PROXY})
    tour.check(changed["previous_url"] == before["url"], "it says what the URL was before", changed)
    card = await tour.get("/.well-known/agent-card.json", lambda card: only(card, "url", "supportedInterfaces"))
    urls = [card["url"], *(interface["url"] for interface in card["supportedInterfaces"])]
    tour.check(all(url.startswith(_PROXY) for url in urls), "every address on the card is the new one", urls)
    await see_the_url(tour, _PROXY)
    older = await tour.get("/.well-known/agent.json", lambda card: only(card, "url"))
    tour.check(older == card, "the path of older clients has the same card", older)
    settings = (tour.project / ".env").read_text().splitlines()
    tour.check(
        changed["persisted"] and f"PUBLIC_AGENT_URL={_PROXY}" in settings, "`.env` has it as well", settings
    )
    tour.screen.say("A URL that cannot stand on a card is refused. Then it moves back.")
    await tour.admin("PATCH", "/api/v1/card/url", {"url": "agents.example.com"}, refused="INVALID_PARAM")
    await tour.admin("PATCH", "/api/v1/card/url", before)


async def change_the_memory(tour: Tour) -> None:
    path = "/api/v1/memory/config"
    tour.screen.say("How much of a conversation the model is shown. A change holds from the next model call on.")
    before = await tour.admin("GET", path)
    await tour.admin("PATCH", path, {"window_size": 1})
    async with open_peer(tour.agent.url) as peer:
        forgetful = await ask(tour, peer, "What is my name?")
        tour.check(
            "Ada" not in forgetful.text, "with a window of one message it cannot see the name", forgetful.text
        )
        await tour.admin("PATCH", path, {"window_size": 30, "summarize": True})
        asked = await ask(tour, peer, "What is my name?")
        tour.check("Ada" in asked.text, "with thirty it can: nothing was lost", asked.text)
    tour.screen.say("What cannot change while it runs is refused, and then nothing of the request is done.")
    error = await tour.admin("PATCH", path, {"window_size": 5, "backend": "memory"}, refused="IMMUTABLE_FIELD")
    tour.check("backend" in str(error), "the refusal names the field", error)
    after = await tour.admin("GET", path)
    tour.check(after == {**before, "window_size": 30, "summarize": True}, "all else is as it was", after)


async def read_conversations(tour: Tour) -> None:
    tour.screen.say("A second conversation first, opened without any library, and with a slash in its id.")
    answer = await tour.call(say_with_curl(tour.agent.url, "Good morning", _OTHER_CONTEXT))
    task = answer["result"]["task"]
    tour.check(task["status"]["state"] == "TASK_STATE_COMPLETED", "it has answered", task["status"])
    listed = await tour.admin("GET", _THREADS)
    tour.check(listed["threads"] == [CONTEXT, _OTHER_CONTEXT], "both are there, the oldest first", listed)
    page = await tour.admin("GET", f"{_THREADS}?limit=1")
    tour.check(page["threads"] == [CONTEXT] and bool(page["next_cursor"]), "long lists come in pages", page)
    messages = (await tour.admin("GET", f"{_THREADS}/{CONTEXT}/messages"))["messages"]
    tour.check(
        messages[0] == {"role": "human", "content": "My name is Ada."}
        and {message["role"] for message in messages} == {"human", "ai", "tool"},
        f"the whole conversation, {len(messages)} messages, from before the crash and after it",
        messages[0],
    )
    other = await tour.admin("GET", f"{_THREADS}/{quote(_OTHER_CONTEXT, safe='')}/messages?limit=2")
    tour.check(other["thread_id"] == _OTHER_CONTEXT, "the slash has survived", other)


async def hand_over_conversations(tour: Tour) -> None:
    tour.screen.say(
        f"Before `AGENT_ID` is changed, all conversations go to the new id, at once. Here to `{_LATER_ID}`:"
    )
    path = "/api/v1/memory/migrate-agent-id"
    there = await tour.admin("POST", path, {"old_id": AGENT_ID, "new_id": _LATER_ID})
    tour.check(there["migrated_threads"] == 2, "both conversations have another owner", there)
    left = await tour.admin("GET", _THREADS)
    tour.check(left["threads"] == [], "this agent has none any more", left)
    tour.screen.say("And back again:")
    back = await tour.admin("POST", path, {"old_id": _LATER_ID, "new_id": AGENT_ID})
    tour.check(back["migrated_threads"] == 2, "both are its own again", back)


async def delete_conversations(tour: Tour) -> None:
    tour.screen.say("A deleted conversation leaves no row behind, in any table; the answer counts what went.")
    database = tour.agent.data
    before = await rows_naming(database, _OTHER_CONTEXT)
    rows = sum(before.values())
    one = f"{_THREADS}/{quote(_OTHER_CONTEXT, safe='')}"
    gone = await tour.admin("DELETE", one)
    tour.check(gone["deleted"]["checkpoints"] > 0, "its checkpoints went with it", gone)
    after = await rows_naming(database, _OTHER_CONTEXT)
    tour.check(
        rows > 0 and not after,
        f"in the whole database {rows} rows named it before, in {len(before)} tables, and now none does",
        (before, after),
    )
    await tour.admin("GET", f"{one}/messages", refused="THREAD_NOT_FOUND")
    tour.screen.say("All of them at once has to be meant:")
    await tour.admin("DELETE", _THREADS, refused="MISSING_THREAD_ID")
    await tour.admin("DELETE", f"{_THREADS}?all=true")
    left = await tour.admin("GET", _THREADS)
    tour.check(left["threads"] == [], "none is left", left)
