"""A wrong setting costs one line, and a secret is known by its name."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from groundwork.process.settings import BadSetting, load_settings, near_misses, secrets_in


class Settings(BaseSettings):
    workers: int = 1
    api_token: int = 1
    password: SecretStr = SecretStr("")


def test_a_wrong_value_is_named_with_what_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "many")
    with pytest.raises(BadSetting, match=r"^WORKERS='many': input should be a valid integer"):
        load_settings(Settings)


def test_a_wrong_secret_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "swordfish")
    with pytest.raises(BadSetting, match=r"^API_TOKEN=\(hidden\): ") as refused:
        load_settings(Settings)
    assert "swordfish" not in str(refused.value)


def test_what_follows_the_path_of_a_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "https://a.test/b?token=swordfish#x")
    with pytest.raises(BadSetting, match=r"^WORKERS='https://a\.test/b\?\*\*\*': "):
        load_settings(Settings)


def test_a_mistyped_name_is_told_with_what_it_looks_like(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WORKRES=2\nOPENAI_API_KEY=x\nAPI_TOKEN=3\n")
    monkeypatch.setenv("API_TOKEN_FIEL", "x")
    assert near_misses(Settings) == ["WORKRES is no setting; did you mean WORKERS?"]


@pytest.mark.parametrize(("content", "said"), [("", "is empty"), (None, "No such file")])
def test_a_secret_may_be_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, said: str
) -> None:
    monkeypatch.setenv("PASSWORD_FILE", "secret")
    if content is not None:
        (tmp_path / "secret").write_text(content)
    with pytest.raises(BadSetting, match=rf"^PASSWORD_FILE='secret': the file .*{said}"):
        load_settings(Settings)
    (tmp_path / "secret").write_text("swordfish\n")
    assert load_settings(Settings).password.get_secret_value() == "swordfish"


def test_values_are_secrets_by_the_names_of_their_variables() -> None:
    environment = {
        "OPENAI_API_KEY": "sk-0123456789",
        "GITHUB_TOKEN": "ghp-0123456789",
        "SHORT_KEY": "1",
        "KEYBOARD": "a-german-keyboard",
    }
    assert secrets_in(environment) == ["sk-0123456789", "ghp-0123456789"]
