"""The agent process, from nothing to ready."""

import re
import shlex

from demo.agent_process import USUAL_PORT
from demo.tour import Tour

_LOG_PREFIX = re.compile(r"^\S+Z \w+ +(?P<logger>[\w.]+)(?: \[[^]]*\])?: (?P<message>.*)$")
_TELLING = ("agent_runtime.serve", "agent_runtime.database")


async def start_the_agent(tour: Tour) -> None:
    tour.screen.say(
        "One process: the graph, its A2A server and its admin API. It brings a PostgreSQL of its own, unless"
        " `POSTGRES_DSN` names another one."
    )
    if tour.agent.port != USUAL_PORT:
        tour.screen.say(f"Port {USUAL_PORT} is taken here, so it gets another one.")
    tour.screen.command(f"cd {shlex.quote(str(tour.project))}", tour.agent.command)
    seconds = await start(tour)
    tour.screen.lines(start_up_lines(tour.agent.log_lines()))
    await tour.get("/readyz")
    tour.check(True, f"ready after {seconds:.1f} seconds, with a database made from nothing")


async def start(tour: Tour) -> float:
    """Starts the agent and waits until it is ready. Returns the seconds. Raises `AgentDidNotStart`."""
    tour.agent.start()
    with tour.screen.waiting("waiting until it is ready"):
        return await tour.agent.wait_until_ready()


def start_up_lines(log: list[str]) -> list[str]:
    """What the agent says about itself at start, without the time and the logger of each line."""
    found = filter(None, map(_LOG_PREFIX.match, log))
    return [line["message"] for line in found if line["logger"] in _TELLING]
