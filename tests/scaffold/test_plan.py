import re
import tomllib
from pathlib import Path

import psycopg
import pytest
import yaml
from dotenv import dotenv_values

from agent_runtime.project.file import load_project
from agent_runtime.settings import AgentSettings
from groundwork.postgres.embedded import open_throwaway
from registry.settings import RegistrySettings
from scaffold.errors import BadAnswer
from scaffold.plan import LONGEST_NAME, Answers, Template, build_plan
from scaffold.write import write_project

FILES = {
    ".dockerignore", ".env", ".gitignore", "Dockerfile", "README.md", "agent.toml", "compose.yaml",
    "constraints.txt", "graph.py", "requirements.txt", "test_agent.py", "wheels/README.md",
}  # fmt: skip

every_template = pytest.mark.parametrize("template", list(Template))


@every_template
def test_a_project_is_these_files(template: Template):
    assert set(build_plan(Answers("my-agent", template))) == FILES


@every_template
def test_the_name_stands_where_a_name_goes_and_no_placeholder_is_left(template: Template):
    plan = build_plan(Answers("my-agent", template, "http://127.0.0.1:7700"))
    assert [path for path, text in plan.items() if "{{" in text] == []
    assert plan["README.md"].startswith("# my-agent\n")
    assert "\nAGENT_ID=my-agent\n" in plan[".env"]
    assert "\nREGISTRY_URL=http://127.0.0.1:7700\n# REGISTRY_TOKEN=\n" in plan[".env"]
    assert tomllib.loads(plan["agent.toml"])["card"]["name"] == "my-agent"


@every_template
def test_files_end_in_one_newline_and_fit_a_screen(template: Template):
    for path, text in build_plan(Answers("my-agent", template)).items():
        assert re.search(r"[^\n]\n\Z", text), path
        assert max(map(len, text.splitlines())) <= 120, path


def test_a_plan_touches_nothing_and_is_always_the_same(tmp_path: Path):
    assert build_plan(Answers("my-agent")) == build_plan(Answers("my-agent"))
    assert list(tmp_path.iterdir()) == []


@every_template
def test_the_project_file_is_understood(template: Template, tmp_path: Path):
    write_project(build_plan(Answers("my-agent", template)), tmp_path / "p")
    project = load_project(tmp_path / "p")
    assert (project.graph, project.card.name) == ("graph:graph", "my-agent")
    assert len(project.card.skills) == 1


def test_the_commented_examples_are_understood_too(tmp_path: Path):
    plan = build_plan(Answers("my-agent"))
    opened = re.sub(r"^# (?=\[|\w+ = )", "", plan["agent.toml"], flags=re.MULTILINE)
    write_project({"agent.toml": opened}, tmp_path / "p")
    project = load_project(tmp_path / "p", {"WEATHER_TOKEN": "w", "RESEARCHER_TOKEN": "r"})
    assert (set(project.mcp), set(project.peers)) == ({"weather", "files"}, {"researcher"})


def test_every_setting_is_one_the_agent_knows_and_none_is_a_secret_or_empty(tmp_path: Path):
    file = tmp_path / ".env"
    file.write_text(build_plan(Answers("my-agent"))[".env"])
    values = dotenv_values(file)
    assert {name.lower() for name in values} - set(AgentSettings.model_fields) == {"langgraph_strict_msgpack"}
    assert all(values.values())
    assert values["LANGGRAPH_STRICT_MSGPACK"] == "true"
    assert not any(value for name, value in values.items() if "TOKEN" in name or "DSN" in name)
    assert AgentSettings(_env_file=file).agent_id == "my-agent"


def test_containers_take_their_secrets_from_the_environment_alone():
    compose = yaml.safe_load(build_plan(Answers("my-agent"))["compose.yaml"])
    agent = compose["services"]["agent"]["environment"]
    database = compose["services"]["postgres"]["environment"]
    assert agent["AGENT_HOST"] == "0.0.0.0"
    assert agent["ADMIN_TOKEN"].startswith("${ADMIN_TOKEN:?")
    assert "//agent:${AGENT_POSTGRES_PASSWORD:?" in agent["POSTGRES_DSN"]
    assert (agent["POSTGRES_PASSWORD"], agent["REGISTRY_POSTGRES_PASSWORD"]) == ("", "")
    assert database["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")


def test_the_containers_of_the_registry_and_the_agent_find_each_other():
    compose = yaml.safe_load(build_plan(Answers("my-agent"))["compose.yaml"])
    services = compose["services"]
    registry = {name.lower(): value for name, value in services["registry"]["environment"].items()}
    assert "profiles" not in services["registry"]
    assert registry.keys() <= RegistrySettings.model_fields.keys()
    assert services["agent"]["environment"]["REGISTRY_URL"] == "http://registry:7700"
    assert registry["database_url"].endswith("@postgres:5432/registry")
    assert services["postgres"]["configs"][0]["source"] == "databases"


async def test_the_containers_roles_own_a_database_each_and_are_no_superusers():
    compose = yaml.safe_load(build_plan(Answers("my-agent"))["compose.yaml"])
    prepared = re.sub(r"\$\{[A-Z_]+:[^}]*\}", "secret", compose["configs"]["databases"]["content"])
    async with open_throwaway() as dsn, await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        for statement in prepared.split(";\n"):
            await conn.execute(statement)
        roles = await conn.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname IN ('agent', 'registry')")
        assert sorted(await roles.fetchall()) == [("agent", False), ("registry", False)]
        for role, other in (("agent", "registry"), ("registry", "agent")):
            allowed = await conn.execute(
                "SELECT has_database_privilege(%s, %s, 'CONNECT'), has_database_privilege(%s, %s, 'CREATE')",
                [role, other, role, role],
            )
            assert await allowed.fetchone() == (False, True)


def test_ports_of_containers_are_published_on_this_machine_alone():
    compose = yaml.safe_load(build_plan(Answers("my-agent"))["compose.yaml"])
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8000:8000", "127.0.0.1:7700:7700"]


@pytest.mark.parametrize("name", ["a", "my-agent", "My_Agent2", "a" * LONGEST_NAME])
def test_good_names_are_taken(name: str):
    assert Answers(name).name == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("", ""), ("my agent", "my-agent"), ("../up", "up"), ("2nd", "nd"), ("-x", "x"), ("città", "citta"),
        ("a\n", "a"), ("a/b", "a-b"), ("a" * 64, "a" * 63), (".", ""), ("{{ name }}", "name"),
    ],
)  # fmt: skip
def test_bad_names_are_refused_with_a_better_one(name: str, hint: str):
    with pytest.raises(BadAnswer) as caught:
        Answers(name)
    assert str(caught.value).endswith(f"how about {hint}?" if hint else "at most")


@pytest.mark.parametrize(
    "url",
    [
        "registry",
        "ftp://r",
        "http://",
        "http://u:p@r",
        "http://r:x",
        "http://r/#a",
        "http://r/ a",
        "http://r\nA=b",
        "$X",
    ],
)
def test_bad_registry_urls_are_refused(url: str):
    with pytest.raises(BadAnswer, match="cannot be a registry's URL"):
        Answers("a", registry_url=url)
