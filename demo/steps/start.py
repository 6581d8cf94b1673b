"""The processes, from nothing to ready."""

import re
import shlex

from demo.service import Service
from demo.tour import Tour

_LOG_PREFIX = re.compile(r"^\S+Z \w+ +(?P<logger>[\w.]+)(?: \[[^]]*\])?: (?P<message>.*)$")
_TELLING = ("agent_runtime.command.serve", "agent_runtime.database", "registry.serve")


async def start_the_agent(tour: Tour) -> None:
    tour.screen.say(
        "One process: the graph, its A2A server and its admin API. It brings a PostgreSQL of its own, unless"
        " `POSTGRES_DSN` names another one."
    )
    seconds = await start(tour, tour.agent)
    await tour.get("/readyz")
    tour.check(True, f"ready after {seconds:.1f} seconds, with a database made from nothing")


async def start(tour: Tour, service: Service) -> float:
    """Starts a service as a user would, shows what it says, and waits until it is ready. Returns the seconds.

    Raises `DidNotStart`.
    """
    if service.port != service.program.usual_port:
        tour.screen.say(f"Port {service.program.usual_port} is taken here, so it gets another one.")
    tour.screen.command(f"cd {shlex.quote(str(service.directory))}", service.command)
    seconds = await start_again(tour, service)
    tour.screen.lines(start_up_lines(service.log_lines()))
    return seconds


async def start_again(tour: Tour, service: Service) -> float:
    """Starts a service and waits until it is ready. Returns the seconds. Raises `DidNotStart`."""
    service.start()
    with tour.screen.waiting("waiting until it is ready"):
        return await service.wait_until_ready()


def start_up_lines(log: list[str]) -> list[str]:
    """What a service says about itself at start, without the time and the logger of each line."""
    found = filter(None, map(_LOG_PREFIX.match, log))
    return [line["message"] for line in found if line["logger"] in _TELLING]
