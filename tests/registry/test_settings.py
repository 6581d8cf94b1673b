"""What the registry can be told from outside, and how it says that it cannot be told that."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from groundwork.process.settings import BadSetting, load_settings
from registry.settings import RegistrySettings
from tests.registry.cli.commands import registry_command


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> RegistrySettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings(RegistrySettings)


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ("info,jamjet=debug", "info"),
        ("warn", "warning"),
        ("trace", "debug"),
        ("OFF", "error"),
        ("hyper=warn, error", "error"),
        ("jamjet_server=debug", "info"),
        ("some_other_program", "info"),
        ("", "info"),
    ],
)
def test_the_level_may_come_from_rust_log(monkeypatch: pytest.MonkeyPatch, given: str, level: str) -> None:
    assert load(monkeypatch, RUST_LOG=given).log_level == level


def test_the_registrys_own_variable_wins_over_rust_log(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, RUST_LOG="trace", LOG_LEVEL="Warning").log_level == "warning"


def test_it_wins_from_the_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=error\n")
    assert load(monkeypatch, RUST_LOG="trace").log_level == "error"


def test_what_jamjet_dev_sends_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        JAMJET_DEV_MODE="1",
        JAMJET_PORT="7701",
        JAMJET_BIND="127.0.0.1",
        DATABASE_URL="sqlite://.jamjet/runtime.db",
        RUST_LOG="info",
    )
    assert (settings.jamjet_dev_mode, settings.public_url) == (True, "http://127.0.0.1:7701")
    assert settings.database_path == Path(".jamjet/runtime.db")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_developer_mode_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    assert load(monkeypatch, JAMJET_DEV_MODE="true", JAMJET_BIND=address).jamjet_dev_mode


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.test"])
def test_developer_mode_is_refused_elsewhere(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    with pytest.raises(BadSetting, match=rf"^JAMJET_BIND='{address}': .* or turn JAMJET_DEV_MODE off$"):
        load(monkeypatch, JAMJET_DEV_MODE="true", JAMJET_BIND=address)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ann:secret@db.test:5433/registry?sslmode=require",
        "postgres://db.test/registry",
        "postgresql:///registry?host=/run/postgresql",
        "host=db.test user=ann password='a b' dbname=registry",
        "  dbname = registry ",
    ],
)
def test_a_connection_string_of_libpq_names_a_postgresql(monkeypatch: pytest.MonkeyPatch, dsn: str) -> None:
    settings = load(monkeypatch, DATABASE_URL=dsn)
    assert (settings.postgres_dsn, settings.database_path) == (dsn.strip(), None)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite://.jamjet/runtime.db", ".jamjet/runtime.db"),
        ("sqlite:///var/lib/jamjet/runtime.db?mode=rwc", "/var/lib/jamjet/runtime.db"),
        ("sqlite:runtime.db", "runtime.db"),
        ("sqlite:///my%20data/runtime.db", "/my data/runtime.db"),
        ("sqlite::memory:", ":memory:"),
        (".jamjet/runtime.db", ".jamjet/runtime.db"),
        ("/var/lib/jamjet/100%25?.db", "/var/lib/jamjet/100%25?.db"),
        ("data/", "data"),
        ("./a=b.db", "a=b.db"),
    ],
)
def test_a_path_names_the_embedded_postgresql(monkeypatch: pytest.MonkeyPatch, url: str, path: str) -> None:
    settings = load(monkeypatch, DATABASE_URL=url)
    assert (settings.postgres_dsn, settings.database_path) == ("", Path(path))


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_address_names_nothing(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    settings = load(monkeypatch, DATABASE_URL=empty)
    assert (settings.postgres_dsn, settings.database_path) == ("", None)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ann:canary@db.test/registry",
        "postgresql+asyncpg://ann:canary@db.test/registry",
        "https://ann:canary@db.test",
        "postgresql://ann:canary@[db.test",
        "postgresql:canary",
        "host=db.test passwrd=canary",
        "sqlite:",
        "sqlite:///",
        "..",
        "/",
    ],
)
def test_a_database_that_is_none_is_refused_without_its_secrets(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(BadSetting, match=r"^DATABASE_URL=\(hidden\): .*accepted") as refused:
        load(monkeypatch, DATABASE_URL=url)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("JAMJET_PORT", "70000", "less than or equal to 65535"),
        ("JAMJET_PORT", "", "valid integer"),
        ("JAMJET_BIND", "", "at least 1 character"),
        ("JAMJET_DEV_MODE", "maybe", "accepted are true and false"),
        ("JAMJET_PUBLIC_URL", "example.test", "absolute http or https URL"),
        ("JAMJET_PUBLIC_URL", "http://[zz", "absolute http or https URL"),
        ("JAMJET_PUBLIC_URL", "http://example.test/#a", "must not contain credentials, a query or a fragment"),
        ("JAMJET_PUBLIC_URL", "http://ann:canary@example.test", "must not contain credentials"),
        ("JAMJET_TOKEN", "canary with blanks", "printable ASCII without blanks"),
        ("JAMJET_MODEL", "gpt-4o", "accepted: provider:name"),
        ("JAMJET_MODEL", "openai:", "accepted: provider:name"),
        ("JAMJET_MODEL", "Offline", "accepted: provider:name"),
        ("JAMJET_MODEL_SEAM_URL", "127.0.0.1:4280", "absolute http or https URL"),
        ("JAMJET_ALLOW_STDIO_MCP", "perhaps", "accepted are true and false"),
        ("JAMJET_AGENT_TOKENS", "canary", "accepted: where each token goes, and the token"),
        ("JAMJET_AGENT_TOKENS", "https://a.test/path=canary", "no path"),
        ("JAMJET_AGENT_TOKENS", "https://a.test=", "accepted: where each token goes, and the token"),
        ("JAMJET_PURGE_SECONDS", "nan", "less than or equal to"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("POSTGRES_PREPARE_THRESHOLD", "never", "'auto' or 'none', or input should be a valid integer"),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    with pytest.raises(BadSetting) as refused:
        load(monkeypatch, **{variable: value})
    message = str(refused.value)
    assert message.startswith(f"{variable}=")
    assert said in message
    assert "\n" not in message
    assert "canary" not in message


@pytest.mark.parametrize("command", [("serve",), ("migrate",), ("audit", "verify"), ("agents", "list")])
async def test_a_wrong_value_stops_every_command_with_one_line(command: tuple[str, ...]) -> None:
    done = await registry_command(*command, jamjet_port="many")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("registry: JAMJET_PORT='many': ")
    assert done.stderr.count("\n") == 1


def test_the_secrets_are_known_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        JAMJET_TOKEN="canary-1",
        JAMJET_AGENT_TOKENS="https://a.test=canary-3, http://[::1]:8000=canary=4",
        DATABASE_URL="postgresql://ann:canary-2@localhost/db",
    )
    assert set(settings.secrets) == {"canary-1", "canary-2", "canary-3", "canary=4"}
    assert "canary" not in repr(settings)


@pytest.mark.parametrize("rule", ["NAME", "NAME@http://far.test", "NAME@https://a.test/path", "@https://a.test"])
def test_a_secret_without_a_place_that_keeps_it_is_refused(rule: str) -> None:
    with pytest.raises(ValidationError, match="does not say where the secret may go"):
        RegistrySettings(_env_file=None, jamjet_secret_env=rule)
    for good in ("NAME@https://a.test", "acme/N_*@http://127.0.0.1:80", "*/N@https://a.test:8443/"):
        RegistrySettings(_env_file=None, jamjet_secret_env=good)
