"""Those who work while faults are injected, and write into the book what they were promised."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx

from tests.faults.model import Book, Conversation, Order, Said
from tests.faults.stranger import EXITS, ODD
from tests.faults.town import AGENT_ID, PROMPT, Town
from tests.registry.engine.workflows import document

WORKFLOW = document(
    {
        "ask": {"type": "agent", "agent_ref": AGENT_ID, "input_mapping": {"text": "{{ state.text }}"}},
        "agree": {"type": "human_approval"},
        "end": {"type": "end"},
    },
    [("ask", "agree"), ("agree", "end")],
    workflow_id="bad-days",
    retry_policies={"patient": {"max_attempts": 60, "backoff": "fixed", "initial_delay": 0.5, "jitter": False}},
)
# An answer that never comes must not be waited for until the end of days.
WORKFLOW["nodes"]["ask"] |= {"retry_policy": "patient", "node_timeout_secs": 10}

_PATIENCE_SECONDS = 10.0
_AWAY = {429, 502, 503, 504}
_INTERNAL = -32603
"""With which A2A says that the database is away, or that the agent is stopping."""

Worker = Callable[[Town, Book, random.Random], Coroutine[None, None, None]]


def load() -> tuple[Worker, ...]:
    """Everybody, each to be run until the round's load is over; all end soon when they are cancelled."""
    return talk, talk, hurry, listen, hang_up, read_slowly, delete, execute, operate, *[order] * 4


def verb(dice: random.Random) -> str:
    return dice.choices(
        ["say", f"sleep {dice.uniform(0.1, 1.2):.1f}", f"count {dice.choice([20, 300])}", "add", "ask"],
        [5, 3, 2, 1, 1],
    )[0]


async def _breathe(dice: random.Random) -> None:
    await asyncio.sleep(dice.uniform(0.1, 0.6))


# A2A


async def talk(town: Town, book: Book, dice: random.Random) -> None:
    """Says one thing after the other and waits for each answer."""
    conversation = book.begin(f"talk-{uuid4().hex}")
    while True:
        await say(town, book, conversation, verb(dice))
        await _breathe(dice)


async def hurry(town: Town, book: Book, dice: random.Random) -> None:
    """Waits for no answer, so that turns queue up."""
    conversation = book.begin(f"hurry-{uuid4().hex}")
    while True:
        for _ in range(dice.randint(1, 4)):
            await say(town, book, conversation, dice.choice(["say", "sleep 0.3"]), at_once=True)
        await asyncio.sleep(dice.uniform(0.5, 2))


async def listen(town: Town, book: Book, dice: random.Random) -> None:
    """Follows streams to their ends."""
    conversation = book.begin(f"listen-{uuid4().hex}")
    while True:
        await follow(town, conversation, verb(dice), _PATIENCE_SECONDS)
        await _breathe(dice)


async def hang_up(town: Town, book: Book, dice: random.Random) -> None:
    """Follows streams for a moment, and leaves in the middle of them."""
    conversation = book.begin(f"hang-up-{uuid4().hex}")
    while True:
        await follow(town, conversation, f"count {dice.choice([300, 900])}", dice.uniform(0.02, 0.6))
        await _breathe(dice)


async def read_slowly(town: Town, book: Book, dice: random.Random) -> None:
    """Reads a byte a second. What it has sent may be there or not: it never gets to know."""
    conversation = book.begin(f"slowly-{uuid4().hex}")
    while True:
        said = conversation.next()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", town.network.front.port, limit=1)
        except ConnectionError:
            await _breathe(dice)
            continue
        try:
            body = json.dumps(rpc("SendStreamingMessage", conversation, said, "count 900")).encode()
            head = "POST / HTTP/1.1\r\nhost: x\r\na2a-version: 1.0\r\ncontent-type: application/json\r\n"
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            while await reader.read(1):
                await asyncio.sleep(1)
        except ConnectionError:
            await _breathe(dice)
        finally:
            writer.close()


async def delete(town: Town, book: Book, dice: random.Random) -> None:
    """Begins conversations and deletes them, also while they work; once it is known what has been accepted, since
    what comes after the deletion would begin the conversation anew."""
    while True:
        conversation = book.begin(f"delete-{uuid4().hex}")
        for _ in range(dice.randint(1, 3)):
            await say(town, book, conversation, verb(dice), at_once=dice.random() < 0.7)
        if conversation.certain:
            await _delete(town, book, dice, conversation.thread_id)
        await _breathe(dice)


async def finish_deletions(town: Town, book: Book) -> None:
    """Those that the end of the load has interrupted."""
    dice = random.Random(0)
    for thread_id in book.doomed - book.deleted:
        await _delete(town, book, dice, thread_id)


async def _delete(town: Town, book: Book, dice: random.Random, thread_id: str) -> None:
    """Insists. Not there: an attempt before, whose answer was lost, has done it."""
    while thread_id not in book.deleted:
        begun_before = thread_id in book.doomed
        book.doomed.add(thread_id)
        with _bad_luck(book):
            url = f"{dice.choice(town.replicas).url}/api/v1/memory/threads/{thread_id}"
            if await _call(book, "DELETE", url, missing=begun_before) is not None:
                book.deleted.add(thread_id)
                return
        await _breathe(dice)


# The stranger's graph

_ORDERS = {
    "strange": ("pay", "book", "book", "block", "fail", "borrow:http", "borrow:stdio"),
    "odd": tuple(f"give:{odd}" for odd in ODD),
    "fails": (*(f"{tool}:{how}" for tool in ("leave", "leave_thread") for how in EXITS), "give:node"),
}
_ENDED = {"TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_REJECTED", "TASK_STATE_CANCELED"}


async def order(town: Town, book: Book, dice: random.Random) -> None:
    """Has the stranger's graph make some calls at once, up to three times in a conversation."""
    while True:
        kind = dice.choices(list(_ORDERS), [4, 1, 2])[0]
        thread_id = f"{kind}-{uuid4().hex}"
        for number in range(1, dice.randint(2, 4)):
            # Beside what gives the kind its name, there are calls that have nothing to do with it.
            calls = [dice.choice(_ORDERS[kind]), *dice.choices(_ORDERS["strange"], k=dice.randint(0, 3))]
            given = Order(thread_id, number, tuple(dice.sample(calls, len(calls))))
            book.orders.append(given)
            with _bad_luck(book):
                await _order(town, book, given)
            if given.task_id is None:
                break
            while not await _has_ended(town, book, given.task_id):
                await _breathe(dice)
        await _breathe(dice)


async def _order(town: Town, book: Book, given: Order) -> None:
    conversation = Conversation(given.thread_id)
    body = rpc("SendMessage", conversation, Said(given.number), " ".join(given.calls), returnImmediately=True)
    answer = await _call(book, "POST", town.network.strangers.url, json=body)
    if answer is None or answer.get("error", {}).get("code") == _INTERNAL:
        book.refused += 1
    elif "result" in answer:
        given.task_id = answer["result"]["task"]["id"]
    else:
        book.odd.append(f"{body} was answered with {answer}")


async def _has_ended(town: Town, book: Book, task_id: str) -> bool:
    body = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": task_id}}
    with _bad_luck(book):
        answer = await _call(book, "POST", town.network.strangers.url, json=body)
        return bool(answer) and "result" in answer and answer["result"]["status"]["state"] in _ENDED
    return False


async def keep_answering(town: Town, book: Book) -> None:
    """Says yes to the first question of every task that asks, in the round and after it."""
    listing = {"status": "TASK_STATE_INPUT_REQUIRED"}
    while True:
        with _bad_luck(book):
            body = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": listing}
            answer = await _call(book, "POST", town.network.strangers.url, json=body)
            for task in (answer or {}).get("result", {}).get("tasks", []):
                said = {
                    "messageId": uuid4().hex,
                    "contextId": task["contextId"],
                    "taskId": task["id"],
                    "role": "ROLE_USER",
                    "parts": [{"text": "yes"}],
                }
                params = {"message": said, "configuration": {"returnImmediately": True}}
                body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}
                # It may have been answered already, by an attempt whose answer was lost: any error will do.
                await _call(book, "POST", town.network.strangers.url, json=body)
        await asyncio.sleep(0.3)


def rpc(method: str, conversation: Conversation, said: Said, what: str, **configuration: object) -> dict[str, Any]:
    message = {
        "messageId": uuid4().hex,
        "contextId": conversation.thread_id,
        "role": "ROLE_USER",
        "parts": [{"text": f"{said.number} {what}"}],
    }
    params = {"message": message, "configuration": configuration}
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def say(town: Town, book: Book, conversation: Conversation, what: str, *, at_once: bool = False) -> None:
    """Sends the next message; a lost answer leaves open whether it was accepted, and it is not sent again."""
    said = conversation.next()
    body = rpc("SendMessage", conversation, said, what, returnImmediately=at_once)
    with _bad_luck(book):
        answer = await _call(book, "POST", town.network.front.url, json=body)
        if answer is None:
            return
        if "result" in answer:
            said.accepted = True
        elif answer["error"]["code"] == _INTERNAL:
            book.refused += 1
        else:
            book.odd.append(f"{body} was answered with {answer}")


async def follow(town: Town, conversation: Conversation, what: str, seconds: float) -> None:
    """Sends the next message and follows its stream for so long. The first event says that it was accepted."""
    said = conversation.next()
    body = rpc("SendStreamingMessage", conversation, said, what)
    try:
        async with (
            asyncio.timeout(seconds),
            _client() as http,
            http.stream("POST", town.network.front.url, json=body) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("data:") and "result" in json.loads(line[5:]):
                    said.accepted = True
    except (TimeoutError, httpx.TransportError):
        return


# The admin API and the registry


async def operate(town: Town, book: Book, dice: random.Random) -> None:
    """Changes settings and components, now on this replica and now on that one, and reloads."""
    while True:
        with _bad_luck(book):
            replica = dice.choice(town.replicas).url
            match dice.choice(["memory", "card", "component", "reload", "look"]):
                case "memory":
                    changes = {"window_size": dice.randint(10, 50), "summarize": dice.random() < 0.5}
                    await _call(book, "PATCH", f"{replica}/api/v1/memory/config", json=changes)
                case "card":
                    url = f"http://{dice.choice(['127.0.0.1', 'localhost'])}:{town.network.front.port}"
                    await _call(book, "PATCH", f"{replica}/api/v1/card/url", json={"url": url})
                case "component":
                    url = f"{town.registry.url}/components/prompt/{PROMPT}"
                    await _call(book, "PUT", url, json={"template": f"Be brief. {dice.random()}"})
                case "reload":
                    # The registry may be away: a conflict.
                    await _call(book, "POST", f"{replica}/api/v1/registry/reload", conflict=True)
                case "look":
                    await _call(book, "GET", f"{replica}/api/v1/memory/threads?limit=20")
                    await _call(book, "GET", f"{town.registry.url}/agents")
        await _breathe(dice)


async def execute(town: Town, book: Book, dice: random.Random) -> None:
    while True:
        with _bad_luck(book):
            body = {"workflow_id": WORKFLOW["workflow_id"], "input": {"text": f"1 {verb(dice)}"}}
            answer = await _call(book, "POST", f"{town.registry.url}/executions", json=body)
            if answer is not None:
                book.executions.append(answer["execution_id"])
        await asyncio.sleep(dice.uniform(0.3, 1))


async def keep_approving(town: Town, book: Book) -> None:
    """Says yes to everything that waits for it, in the round and after it."""
    while True:
        with _bad_luck(book):
            answer = await _call(book, "GET", f"{town.registry.url}/executions?status=paused&limit=100")
            for execution in answer["executions"] if answer else []:
                url = f"{town.registry.url}/executions/{execution['execution_id']}/approve"
                # Decided already, and not yet taken up: a conflict.
                await _call(book, "POST", url, conflict=True, json={"decision": "approved"})
        await asyncio.sleep(0.5)


async def register_workflow(town: Town) -> None:
    async with _client() as http:
        answer = await http.post(f"{town.registry.url}/workflows", json={"ir": WORKFLOW})
        answer.raise_for_status()


def _client() -> httpx.AsyncClient:
    """A connection of its own for each call, so that the calls are spread over the replicas."""
    return httpx.AsyncClient(timeout=_PATIENCE_SECONDS, headers={"A2A-Version": "1.0"}, verify=False)


async def _call(
    book: Book, method: str, url: str, *, missing: bool = False, conflict: bool = False, json: Any = None
) -> Any:
    """The answer; `None` when the service says that it cannot at the moment. Any other failure is odd."""
    async with _client() as http:
        answer = await http.request(method, url, json=json)
    if answer.status_code in _AWAY:
        book.refused += 1
        return None
    if answer.is_success or (missing and answer.status_code == 404) or (conflict and answer.status_code == 409):
        return answer.json()
    if "jsonrpc" in answer.text[:200]:
        return answer.json()
    book.odd.append(f"{method} {url} was answered with {answer.status_code}: {answer.text[:500]}")
    return None


@contextmanager
def _bad_luck(book: Book) -> Iterator[None]:
    """A connection that is refused, cut or silent is what this is about."""
    try:
        yield
    except httpx.TransportError:
        book.refused += 1
