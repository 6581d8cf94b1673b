"""A wrong setting stops the agent with one line that names the variable, its value and what is accepted."""

from pathlib import Path

import pytest

from agent_runtime.settings import AgentSettings
from groundwork.process.settings import BadSetting, load_settings


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AGENT_ID", "a b", "1 to 255 printable characters without blanks or slashes"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("AGENT_PORT", "70000", "less than or equal to 65535"),
        ("PUBLIC_AGENT_URL", "example.com", "absolute http or https URL"),
        ("PUBLIC_AGENT_URL", "https://user:pw@example.com", "must not contain credentials"),
        ("POSTGRES_DSN", "foo://bar", "postgresql://user:password@host:port/database"),
        ("POSTGRES_PREPARE_THRESHOLD", "never", "'auto' or 'none', or input should be a valid integer"),
        ("MEMORY_ENABLED", "maybe", "accepted are true and false"),
        ("MEMORY_BACKEND", "redis", "'postgres' or 'memory'"),
        ("MEMORY_WINDOW_SIZE", "0", "greater than or equal to 1"),
        ("MODEL", "openai/gpt-4o", "provider:name"),
        ("AGENT_MODEL", "gpt", "provider:name"),
        ("MODEL_BASE_URL", "localhost", "absolute http or https URL"),
        ("REGISTRY_URL", "zzz", "absolute http or https URL"),
        ("REGISTRY_URL", "http://h/?tenant=a", "must not have a query"),
        ("REGISTRY_TOKEN", "a b", "printable ASCII without blanks"),
        ("REGISTRY_HEARTBEAT_SECONDS", "0", "greater than or equal to 0.1"),
        ("CHECKPOINT_DURABILITY", "never", "'sync', 'async' or 'exit'"),
        ("ADMIN_ALLOWED_HOSTS", "http://x/", "names or addresses"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadSetting) as refused:
        load_settings(AgentSettings)
    message = str(refused.value)
    assert message.startswith(f"{variable}=")
    assert said in message
    assert "\n" not in message


def test_only_an_agent_id_that_is_not_set_is_the_name_of_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(AgentSettings).named_after(Path("/srv/my  agent")).agent_id == "my-agent"
    assert load_settings(AgentSettings).named_after(Path("/")).agent_id is None
    for value, agent_id in (("", None), ("given", "given")):
        monkeypatch.setenv("AGENT_ID", value)
        assert load_settings(AgentSettings).named_after(Path("/srv/agent")).agent_id == agent_id


@pytest.mark.parametrize("variable", ["HOST", "AGENT_HOST", "ADMIN_HOST"])
def test_an_open_admin_api_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "0.0.0.0")
    with pytest.raises(
        BadSetting, match=rf"^{variable}='0\.0\.0\.0': the admin API would be open .* set ADMIN_TOKEN"
    ):
        load_settings(AgentSettings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ADMIN_TOKEN", "a-token"), ("ADMIN_ALLOW_UNAUTHENTICATED", "true"), ("ADMIN_HOST", "::1")],
)
def test_an_admin_api_with_a_token_a_word_or_a_listener_of_its_own_is_not(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv(variable, value)
    assert load_settings(AgentSettings).host == "0.0.0.0"


def test_a_refused_token_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2A_TOKENS", "ann=swordfish,bob=swordfish")
    with pytest.raises(BadSetting, match="every user needs one of their own") as refused:
        load_settings(AgentSettings)
    assert "swordfish" not in str(refused.value)


def test_the_secrets_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", "canary-1")
    monkeypatch.setenv("A2A_TOKENS", "ann=canary-2")
    monkeypatch.setenv("REGISTRY_TOKEN", "canary-3")
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://ann:canary-4@localhost/db")
    assert {"canary-1", "canary-2", "canary-3", "canary-4"} <= set(load_settings(AgentSettings).secrets)


def test_what_the_agents_own_names_say_holds_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODEL", "openai/gpt-4o")
    monkeypatch.setenv("PORT", "not ours")
    monkeypatch.setenv("HOST", "web-1.internal")
    (tmp_path / ".env").write_text("AGENT_MODEL=openai:gpt-4o\nAGENT_PORT=8123\nAGENT_HOST=127.0.0.1\n")
    settings = AgentSettings(_env_file=tmp_path / ".env")
    assert (settings.model, settings.port, settings.host) == ("openai:gpt-4o", 8123, "127.0.0.1")
    monkeypatch.setenv("AGENT_MODEL", "")
    assert AgentSettings(_env_file=tmp_path / ".env").model == ""
