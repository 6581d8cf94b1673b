"""A prompt is changed in the registry while people talk to the agent."""

from typing import Any

from demo.a2a import open_peer
from demo.calls import Call
from demo.steps.conversation import ask
from demo.steps.project import AGENT_ID
from demo.tour import Tour

_PROMPT = f"/components/prompt/{AGENT_ID}-system"
_NEW = {"template": "You are {{ agent_name }}, and you answer like a pirate."}
_BROKEN = {"template": "It is {{ weather }} today."}
_QUESTION = "What are your instructions?"


async def change_the_prompt(tour: Tour) -> None:
    tour.screen.say(
        "`agent.toml` names its system prompt as a component. The registry has none yet, so it uses its own:"
    )
    before = await tour.admin("GET", "/api/v1/registry/metadata")
    tour.check({ref["status"] for ref in before["refs"]} == {"fallback"}, "what it uses is its own", before)
    async with open_peer(tour.agent.url) as peer:
        own = await ask(tour, peer, _QUESTION)
        tour.check("helpful assistant" in own.text, "the prompt of the project", own.text)
        tour.screen.say("Now somebody gives it another one. The agent is not told: its next heartbeat is.")
        await tour.ask_registry("PUT", _PROMPT, _NEW, role="developer")
        seconds = await tour.wait_for(_status(tour), _runs_it, "the agent runs it")
        tour.check(True, f"{seconds:.1f} seconds later the registry knows that it runs it")
        told = await ask(tour, peer, _QUESTION)
        tour.check(f"You are {AGENT_ID}, and you answer like a pirate" in told.text, "the new prompt", told.text)
        name = await ask(tour, peer, "What is my name?")
        tour.check("Ada" in name.text, "and the same conversation", name.text)
        await _break_it_and_go_back(tour)
        still = await ask(tour, peer, _QUESTION)
        tour.check("pirate" in still.text, "the conversation has noticed nothing", still.text)


async def _break_it_and_go_back(tour: Tour) -> None:
    tour.screen.say(
        "One that cannot be used is put to use nowhere, and the registry shows who could not, and why:"
    )
    await tour.ask_registry("PUT", _PROMPT, _BROKEN, role="developer")
    await tour.wait_for(_status(tour), lambda seen: seen["summary"]["failed"] == 1, "the agent has refused it")
    status = await tour.ask_registry("GET", f"{_PROMPT}/status", role="developer", show=_brief)
    (process,) = _living(status)
    tour.check(process["version"] == 1, "the last good version is in use", process)
    tour.screen.say("Back to the first version, and this time the agent is told:")
    await tour.ask_registry("POST", f"{_PROMPT}/rollback", {"version": 1}, role="developer")
    reloaded = await tour.admin("POST", "/api/v1/registry/reload")
    tour.check(not reloaded["failed"], "nothing has failed any more", reloaded)
    await tour.admin("GET", "/internal/runtime-metadata")
    await tour.admin("POST", "/internal/reload")


def _status(tour: Tour) -> Call:
    return Call("GET", f"{tour.registry.url}{_PROMPT}/status", bearer=tour.tokens["developer"])


def _runs_it(status: dict[str, Any]) -> bool:
    return bool(status["summary"]["current"] == 1)


def _living(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Without the process that was killed, which the registry has not forgotten yet."""
    return [agent for agent in status["agents"] if agent["alive"]]


def _brief(status: dict[str, Any]) -> dict[str, Any]:
    shown = ("agent_id", "version", "state", "error")
    agents = [{key: agent[key] for key in shown if key in agent} for agent in _living(status)]
    return {"version": status["version"], "summary": status["summary"], "agents": agents}
