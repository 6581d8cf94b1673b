"""A project, made by the command that users type."""

import shlex

from demo.service import own_environment
from demo.tour import Tour

AGENT_ID = "my-agent"
_SETTINGS_FILE = ".env"

_MEANINGS = {
    "graph.py": "the agent: a LangGraph graph and its tools",
    "agent.toml": "its card, its prompt, and the MCP servers and agents it uses",
    ".env": "its settings, AGENT_ID first",
    "test_agent.py": "its tests: they pass as they are",
    "README.md": "how to run it, what to say to it, its curl calls",
    "requirements.txt": "what to install",
    "constraints.txt": "the versions that were tested together",
    "Dockerfile": "an image of it",
    "compose.yaml": "PostgreSQL, a registry and the agent in containers",
    ".dockerignore": "what stays out of the image",
    ".gitignore": "what stays out of version control",
}


async def scaffold_a_project(tour: Tour) -> None:
    directory = tour.project.parent
    tour.screen.say(
        f"A new project, in `{directory}`, which is removed at the end. It is told where its registry is, and gets"
        " the token that was made for it."
    )
    command = ["scaffold", "new-agent", AGENT_ID, "--registry", tour.registry.url, "--yes"]
    bearer = tour.tokens["developer"]
    tour.screen.command(
        shlex.join(command), f'echo "REGISTRY_TOKEN=${bearer.variable}" >> {AGENT_ID}/{_SETTINGS_FILE}'
    )
    await tour.run(*command, directory=directory, environment=own_environment({}))
    with (tour.project / _SETTINGS_FILE).open("a", encoding="utf-8") as file:
        file.write(f"REGISTRY_TOKEN={bearer.token}\n")
    present = {path.name: path for path in tour.project.iterdir()}
    known = [name for name in _MEANINGS if name in present]
    others = sorted(present.keys() - _MEANINGS.keys())
    tour.screen.files(f"{AGENT_ID}/", [(name, _MEANINGS.get(name, "")) for name in [*known, *others]])
    settings = present[_SETTINGS_FILE].read_text().splitlines() if _SETTINGS_FILE in present else []
    tour.check(
        {"graph.py", "agent.toml", "test_agent.py"} <= present.keys()
        and {f"AGENT_ID={AGENT_ID}", f"REGISTRY_URL={tour.registry.url}"} <= set(settings),
        f"{len(present)} files, and `.env` says `AGENT_ID={AGENT_ID}` and `REGISTRY_URL={tour.registry.url}`",
        sorted(present),
    )
