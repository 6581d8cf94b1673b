"""A wrong setting costs one line, and a secret is known by its name."""

import pytest
from pydantic_settings import BaseSettings

from groundwork.settings import BadSetting, load_settings, secrets_in


class Settings(BaseSettings):
    workers: int = 1
    api_token: int = 1


def test_a_wrong_value_is_named_with_what_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "many")
    with pytest.raises(BadSetting, match=r"^WORKERS='many': input should be a valid integer"):
        load_settings(Settings)


def test_a_wrong_secret_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "swordfish")
    with pytest.raises(BadSetting, match=r"^API_TOKEN=\(hidden\): ") as refused:
        load_settings(Settings)
    assert "swordfish" not in str(refused.value)


def test_values_are_secrets_by_the_names_of_their_variables() -> None:
    environment = {
        "OPENAI_API_KEY": "sk-0123456789",
        "GITHUB_TOKEN": "ghp-0123456789",
        "SHORT_KEY": "1",
        "KEYBOARD": "a-german-keyboard",
    }
    assert secrets_in(environment) == ["sk-0123456789", "ghp-0123456789"]
