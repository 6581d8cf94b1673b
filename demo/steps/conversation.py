"""Talking to the agent as another A2A program would, and what becomes of it when the agent is killed."""

import asyncio
import signal
import time
from dataclasses import dataclass, field

from a2a.utils.errors import A2AError

from demo.a2a import Accepted, Ended, Peer, Progress, StoredAnswer, Words, open_peer
from demo.console import Speech
from demo.steps.registry import wait_until_alive, watch_it_die
from demo.steps.start import start_again
from demo.tour import StepFailed, Tour

CONTEXT = "session-001"
"""The conversation; over A2A a context, in the admin API a thread."""

_MANY = 20_000
_FINISHED_WITHIN_SECONDS = 60


@dataclass
class Heard:
    """What came back for a message."""

    text: str = ""
    task_id: str = ""
    state: str = ""
    progress: list[str] = field(default_factory=list)


async def hold_a_conversation(tour: Tour) -> None:
    tour.screen.say(
        "With the A2A SDK's own client, and streaming. The model is the built-in one: it needs no key."
    )
    async with open_peer(tour.agent.url) as peer:
        interfaces = [f"{one.protocol_binding} {one.protocol_version}" for one in peer.card.supported_interfaces]
        skills = [skill.name for skill in peer.card.skills]
        tour.screen.table(
            [
                ("card", f"{peer.card.name} {peer.card.version}: {peer.card.description}"),
                ("skills", ", ".join(skills)),
                ("speaks", ", ".join(interfaces)),
                ("context", f"`{CONTEXT}`, the id of the conversation, chosen by the caller"),
            ]
        )
        told = await ask(tour, peer, "My name is Ada.")
        tour.check("Ada" in told.text, "it heard the name", told.text)
        added = await ask(tour, peer, 'call add {"a": 2, "b": 3}')
        called = any("add" in line for line in added.progress)
        tour.check(called and "5" in added.text, "it called its tool, and said so on the way", added)
        asked = await ask(tour, peer, "What is my name?")
        tour.check("Ada" in asked.text, "it remembers", asked.text)


async def survive_a_crash(tour: Tour) -> None:
    tour.screen.say(
        "A long answer, and in the middle of it the process is killed. It gets no chance to save anything: what"
        " counts is in PostgreSQL already."
    )
    async with open_peer(tour.agent.url) as peer:
        cut = await _ask_and_kill(tour, peer)
    await watch_it_die(tour)
    tour.screen.command(tour.agent.command)
    seconds = await start_again(tour, tour.agent)
    tour.check(True, f"ready again after {seconds:.1f} seconds, on the database that is there")
    async with open_peer(tour.agent.url) as peer:
        answer, waited = await _finished(tour, peer, cut.task_id)
        tour.check(
            answer.state == "completed" and answer.text.split() == [str(n) for n in range(1, _MANY + 1)],
            f"the new process has finished the answer, {waited:.1f} seconds later: task {answer.state}, all"
            f" {_MANY:,} numbers in it, each once",
            (answer.state, answer.text[:50], answer.text[-50:]),
        )
        asked = await ask(tour, peer, "What is my name?")
        tour.check("Ada" in asked.text, "the conversation has survived", asked.text)
    await wait_until_alive(tour)


async def ask(tour: Tour, peer: Peer, text: str, context_id: str = CONTEXT) -> Heard:
    """Says something and shows the answer as it comes. Raises `StepFailed` unless the task is completed."""
    tour.screen.you(text)
    heard, speech = Heard(), tour.screen.agent()
    async for update in peer.send(text, context_id):
        _hear(heard, speech, update)
    speech.end()
    if heard.state != "completed":
        raise StepFailed(
            f"the task of {text!r} ended as {heard.state or 'nothing'}: {heard.text or heard.progress}"
        )
    return heard


async def _ask_and_kill(tour: Tour, peer: Peer) -> Heard:
    text = f"count to {_MANY}"
    tour.screen.you(text)
    heard, speech, pid = Heard(), tour.screen.agent(), tour.agent.pid
    killed: int | None = None
    try:
        async for update in peer.send(text, CONTEXT):
            _hear(heard, speech, update)
            if heard.text and killed is None:
                killed = tour.agent.kill()
    except A2AError:
        if killed is None:
            raise
    speech.cut_off("… and the line is dead")
    tour.screen.command(f"kill -9 {pid}")
    tour.check(
        killed == -signal.SIGKILL and not heard.state and not tour.agent.is_listening(),
        "the process is gone, in the middle of its answer",
        (killed, heard.state),
    )
    return heard


async def _finished(tour: Tour, peer: Peer, task_id: str) -> tuple[StoredAnswer, float]:
    """The task once it is in a final state, and the seconds until then."""
    began = time.monotonic()
    with tour.screen.waiting("waiting for the lease of the killed process to run out"):
        while time.monotonic() < began + _FINISHED_WITHIN_SECONDS:
            answer = await peer.get_task(task_id)
            if answer.is_final:
                return answer, time.monotonic() - began
            await asyncio.sleep(0.1)
    raise StepFailed(f"task {task_id} is still {answer.state} after {_FINISHED_WITHIN_SECONDS} seconds")


def _hear(heard: Heard, speech: Speech, update: Accepted | Words | Progress | Ended) -> None:
    match update:
        case Accepted(task_id):
            heard.task_id = task_id
        case Words(text):
            heard.text += text
            speech.words(text)
        case Progress(text):
            heard.progress.append(text)
            speech.progress(text)
        case Ended(state):
            heard.state = state
