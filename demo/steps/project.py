"""A project, made by the command that users type."""

import shlex
import subprocess

from demo.agent_process import find_command, own_environment
from demo.tour import StepFailed, Tour

AGENT_ID = "my-agent"

_MEANINGS = {
    "graph.py": "the agent: a LangGraph graph, its prompt and its tools",
    "agent.toml": "its card, and the MCP servers and agents it uses",
    ".env": "its settings, AGENT_ID first",
    "test_agent.py": "its tests: they pass as they are",
    "README.md": "how to run it, what to say to it, its curl calls",
    "requirements.txt": "what to install",
    "constraints.txt": "the versions that were tested together",
    "Dockerfile": "an image of it",
    "compose.yaml": "PostgreSQL and the agent in containers",
    ".dockerignore": "what stays out of the image",
    ".gitignore": "what stays out of version control",
}


async def scaffold_a_project(tour: Tour) -> None:
    directory = tour.project.parent
    tour.screen.say(f"A new project, in `{directory}`, which is removed at the end.")
    command = ["scaffold", "new-agent", AGENT_ID, "--yes"]
    tour.screen.command(shlex.join(command))
    done = subprocess.run(  # noqa: ASYNC221, S603  # nothing else is going on yet; our own command, no shell
        [find_command("scaffold"), *command[1:]],
        cwd=directory,
        env=own_environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StepFailed(f"`scaffold` ended with status {done.returncode}: {(done.stderr or done.stdout).strip()}")
    present = {path.name: path for path in tour.project.iterdir()}
    known = [name for name in _MEANINGS if name in present]
    others = sorted(present.keys() - _MEANINGS.keys())
    tour.screen.files(f"{AGENT_ID}/", [(name, _MEANINGS.get(name, "")) for name in [*known, *others]])
    settings = present[".env"].read_text().splitlines() if ".env" in present else []
    tour.check(
        {"graph.py", "agent.toml", "test_agent.py"} <= present.keys() and f"AGENT_ID={AGENT_ID}" in settings,
        f"{len(present)} files, and `.env` says `AGENT_ID={AGENT_ID}`",
        sorted(present),
    )
