"""The card that goes to the registry."""

import json

import pytest

from agent_runtime.project.file import CardSpec, Skill
from agent_runtime.registry_link.card import build_registry_card
from tests.agent_runtime.registry_link.linking import SPEC, linked
from tests.jamjet_runtime import JamjetRuntime


def test_it_says_who_the_agent_is_where_and_what_it_can_do():
    card = build_registry_card(SPEC, "my-agent", "http://h/a", bearer=False, tools_consumed=["weather"])
    assert (card["id"], card["uri"], card["name"]) == ("my-agent", "http://h/a", "Test agent")
    assert card["auth"] == {"type": "none"}
    assert card["capabilities"]["protocols"] == ["a2a"]
    assert card["capabilities"]["tools_consumed"] == ["weather"]
    (skill,) = card["capabilities"]["skills"]
    assert (skill["id"], skill["name"], skill["description"], skill["tags"]) == (
        "chat",
        "Chat",
        "Talks.",
        ["talk"],
    )


def test_schemas_are_json_schemas_written_as_text():
    skill = Skill("s", "S", "Does.")
    spec = CardSpec("a", "b", skills=(skill,), default_output_modes=("text/plain", "application/json"))
    (sent,) = build_registry_card(spec, "a", "http://h", bearer=False)["capabilities"]["skills"]
    text = {"type": "string", "contentMediaType": "text/plain"}
    assert json.loads(sent["input_schema"]) == text
    assert json.loads(sent["output_schema"]) == {
        "anyOf": [text, {"type": "string", "contentMediaType": "application/json"}]
    }


@pytest.mark.parametrize(
    ("tokens", "auth"), [("", {"type": "none"}), ("ann=t-1", {"type": "bearer_token", "scopes": []})]
)
async def test_jamjets_own_types_fit_it_with_and_without_tokens(tokens: str, auth: dict[str, object]):
    jamjet = JamjetRuntime()
    async with jamjet.served() as url, linked(url, a2a_tokens=tokens) as link:
        assert (await link.reached(5)).startswith("registered as ")
        (entry,) = jamjet.entries.values()
    assert entry["card"]["auth"] == auth
    assert "t-1" not in str(entry)
