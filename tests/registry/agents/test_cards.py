"""Cards of all kinds are read alike, and what is wrong with one is said field by field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.http.json_body import to_json
from registry.agents.cards import describe_card, read_card
from registry.errors import InvalidRequest

QUERY = {"type": "object", "properties": {"query": {"type": "string"}}}
REPORT = {"type": "object", "properties": {"report": {"type": "string"}}}
JAMJET: dict[str, Any] = {
    "id": "research-agent",
    "uri": "http://localhost:7701",
    "name": "Research Agent",
    "description": "Searches the web and synthesizes reports.",
    "version": "0.1.0",
    "capabilities": {
        "skills": [
            {"name": "research", "description": "Any topic", "input_schema": QUERY, "output_schema": REPORT}
        ],
        "protocols": ["a2a", "mcp_server"],
        "tools_provided": ["web_search"],
        "tools_consumed": [],
    },
    "autonomy": "guided",
    "auth": {"type": "bearer_token"},
}
A2A_0_3: dict[str, Any] = {
    "name": "Recipes",
    "description": "Finds recipes.",
    "version": "1.2.0",
    "protocolVersion": "0.3.0",
    "url": "https://recipes.example.com/a2a/v1",
    "preferredTransport": "JSONRPC",
    "additionalInterfaces": [{"url": "recipes.example.com:50051", "transport": "GRPC"}],
    "capabilities": {"streaming": True, "extensions": []},
    "skills": [{"id": "find", "name": "Find a recipe", "description": "By what is there", "tags": ["food"]}],
    "securitySchemes": {"key": {"type": "apiKey", "name": "X-Api-Key", "in": "header"}},
    "security": [{"key": []}],
}
A2A_1_0: dict[str, Any] = {
    "name": "Recipes",
    "description": "Finds recipes.",
    "version": "2.0.0",
    "supportedInterfaces": [
        {"url": "recipes.example.com:50051", "protocolBinding": "GRPC", "protocolVersion": "1.0"},
        {"url": "https://recipes.example.com/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
    ],
    "capabilities": {"streaming": True},
    "skills": [{"id": "find", "name": "Find a recipe", "description": "", "tags": []}],
    "securitySchemes": {"token": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}},
    "securityRequirements": [{"schemes": {"token": {}}}],
}


def test_a_card_of_jamjet_is_read():
    card = read_card(JAMJET)
    assert (card.agent_id, card.uri, card.name) == ("research-agent", "http://localhost:7701", "Research Agent")
    assert card.skills == ("research",)
    assert card.protocols == ("a2a", "mcp_server", "mcp")
    assert card.document == JAMJET


def test_a_card_of_jamjet_is_shown_as_it_is_with_an_id_for_each_skill():
    shown = describe_card(JAMJET)
    skill = {"id": "research", **JAMJET["capabilities"]["skills"][0]}
    assert shown["capabilities"] == JAMJET["capabilities"] | {"skills": [skill]}
    assert shown["url"] == shown["uri"] == JAMJET["uri"]
    kept = ("name", "description", "version", "autonomy", "auth")
    assert {name: shown[name] for name in kept} == {name: JAMJET[name] for name in kept}


@pytest.mark.parametrize("document", [{"id": "x", "uri": "http://h"}, {"name": "x", "url": "http://h"}])
def test_a_card_needs_no_more_than_a_name_and_an_address(document: dict[str, Any]):
    shown = describe_card(read_card(document).document)
    assert shown == {
        "uri": "http://h",
        "url": "http://h",
        "name": "x",
        "description": "",
        "version": "",
        "autonomy": "guided",
        "auth": {},
        "capabilities": {"skills": [], "protocols": [], "tools_provided": [], "tools_consumed": []},
    }


def test_a_card_of_a2a_0_3_is_read():
    card = read_card(A2A_0_3)
    assert (card.agent_id, card.uri) == (None, "https://recipes.example.com/a2a/v1")
    assert card.skills == ("find", "Find a recipe")
    assert card.protocols == ("a2a",)


def test_a_card_of_a2a_1_0_is_at_its_first_interface_that_http_leads_to():
    card = read_card(A2A_1_0)
    assert (card.uri, card.protocols) == ("https://recipes.example.com/a2a", ("a2a",))


def test_skills_of_a2a_are_shown_in_the_shape_of_jamjets():
    skill = A2A_0_3["skills"][0] | {"input_schema": {}, "output_schema": {}}
    assert describe_card(A2A_0_3)["capabilities"]["skills"] == [skill]


def test_a_card_of_both_kinds_has_the_skills_of_both():
    document = JAMJET | {"skills": [{"id": "research", "name": "The same"}, {"id": "more", "name": "Another"}]}
    skills = describe_card(document)["capabilities"]["skills"]
    assert [(skill["id"], skill["name"]) for skill in skills] == [("research", "research"), ("more", "Another")]


@pytest.mark.parametrize(
    ("document", "auth"),
    [
        (A2A_0_3, {"type": "api_key", "header": "X-Api-Key"}),
        (A2A_1_0, {"type": "bearer_token", "scopes": []}),
        (A2A_0_3 | {"securitySchemes": {"o": {"type": "oauth2"}}}, {"type": "bearer_token", "scopes": []}),
        (A2A_0_3 | {"securitySchemes": {"b": {"type": "http", "scheme": "basic"}}}, {}),
        (A2A_0_3 | {"security": []}, {"type": "none"}),
        (A2A_0_3 | {"auth": {"type": "custom"}}, {"type": "custom"}),
    ],
)
def test_what_callers_of_an_a2a_agent_need_is_told_in_jamjets_words(document: dict[str, Any], auth: object):
    assert describe_card(read_card(document).document)["auth"] == auth


def test_schemas_that_are_text_are_shown_as_the_objects_they_are():
    skill = {"name": "s", "input_schema": json.dumps(QUERY), "output_schema": "a report"}
    document = JAMJET | {"capabilities": {"skills": [skill]}}
    card = read_card(document)
    assert card.document == document
    (shown,) = describe_card(document)["capabilities"]["skills"]
    assert (shown["input_schema"], shown["output_schema"]) == (QUERY, "a report")


def test_fields_that_nobody_here_knows_are_kept():
    document = JAMJET | {"labels": {"team": "a"}, "constraints": None, "x-more": [1, {"2": 3.5}]}
    assert read_card(document).document == document


@pytest.mark.parametrize(
    "uri", ["https://h.example", "http://[::1]:8000/a/b", "http://h?a=b", "jamjet://org/agent"]
)
def test_an_agent_can_be_at_any_absolute_url(uri: str):
    assert read_card({"id": "x", "uri": uri}).uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "h",
        "//h/x",
        "http://",
        "http:///x",
        "http://:80/",
        "http://h:port/",
        "http://h:99999/",
        "http://[::1/",
        "javascript:alert(1)",
        "javascript://h/%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://h/",
        "http://user:secret@h/",
        "http://user@h/",
        "http://h/ x",
        "http://h/ä",
        "http://h/<x>",
        "http://h/%x",
        "http://h/\n",
        "http://h\\@other/",
        "http://h/" + 2048 * "x",
    ],
)
def test_other_addresses_are_refused(uri: str):
    for field in ("uri", "url"):
        with pytest.raises(InvalidRequest, match=rf"^{field} should be an absolute http or https URL") as refused:
            read_card({"id": "x", field: uri})
        assert "secret" not in str(refused.value)
    with pytest.raises(InvalidRequest, match=r"^supportedInterfaces\.0\.url:? (S|s)"):
        read_card({"id": "x", "supportedInterfaces": [{"url": uri}]})


def test_every_problem_is_told():
    skills = [{"description": 1}, {"name": "s", "input_schema": []}, "s"]
    wrong = {"id": "a/b", "uri": 5, "name": "n" * 256, "capabilities": {"skills": skills, "protocols": "a2a"}}
    with pytest.raises(InvalidRequest) as refused:
        read_card(wrong | {"auth": "bearer_token", "version": 1})
    assert refused.value.problems == (
        "id should be 1 to 255 printable characters without blanks and slashes",
        "uri should be a valid string",
        "name: String should have at most 255 characters",
        "version should be a valid string",
        "capabilities.skills.0.name is required",
        "capabilities.skills.0.description should be a valid string",
        "capabilities.skills.1.input_schema should be a JSON Schema, as an object or as text",
        "capabilities.skills.2 should be an object",
        "capabilities.protocols should be a valid list",
        "auth should be an object",
    )


def test_a_card_without_anything_is_told_what_it_needs():
    with pytest.raises(InvalidRequest, match=r"^name is required, or an id; uri is required$"):
        read_card({"capabilities": {"skills": []}})


@pytest.mark.parametrize(
    "document",
    [
        {"capabilities": {"skills": [{"name": f"s{number}"} for number in range(1001)]}},
        {"skills": [{"name": f"s{number}"} for number in range(1001)]},
        {"capabilities": {"protocols": ["p"] * 1001}},
        {"capabilities": {"tools_provided": ["t" * 256]}},
        {"description": "d" * 10_001},
        {"name": "two\nlines"},
        {"name": " "},
        {"skills": [{"name": "\x1b[2J"}]},
    ],
)
def test_a_card_that_goes_too_far_is_refused(document: dict[str, Any]):
    with pytest.raises(InvalidRequest):
        read_card({"id": "x", "uri": "http://h"} | document)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
names = st.sampled_from(
    [
        *("id", "uri", "url", "name", "capabilities", "skills", "protocols", "input_schema", "output_schema"),
        *("supportedInterfaces", "preferredTransport", "security", "securitySchemes", "securityRequirements"),
        *("type", "scheme", "httpAuthSecurityScheme", "apiKeySecurityScheme"),
    ]
)
telling = st.sampled_from(
    ["x", "http://h", "h:50051", "{}", "[", '{"a": [1]}', "apiKey", "http", "bearer", "\ud800"]
)
anything = st.recursive(
    scalars | telling,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(), inner, max_size=6),
    max_leaves=25,
)
skills = st.lists(
    st.fixed_dictionaries({"name": telling}, optional={"id": telling, "input_schema": telling | anything})
)
cards = st.fixed_dictionaries(
    {},
    optional={
        "id": telling | anything,
        "uri": telling | anything,
        "url": telling | anything,
        "name": telling | anything,
        "supportedInterfaces": st.lists(st.fixed_dictionaries({"url": telling})) | anything,
        "capabilities": st.fixed_dictionaries({}, optional={"skills": skills | anything, "protocols": anything})
        | anything,
        "skills": skills | anything,
        "security": anything,
        "securitySchemes": st.dictionaries(st.text(), st.dictionaries(names, anything)) | anything,
        "auth": anything,
    },
)


@given(cards | st.dictionaries(names | st.text(), anything))
def test_a_document_is_either_a_card_that_can_be_shown_or_refused(document: dict[str, Any]):
    try:
        card = read_card(document)
    except InvalidRequest:
        return
    shown = describe_card(card.document)
    to_json(shown)
    assert shown["uri"] == card.uri
    assert {skill["id"] for skill in shown["capabilities"]["skills"]} <= set(card.skills)
    assert read_card(card.document) == card


@given(skills, st.sampled_from([{"type": "apiKey"}, {"httpAuthSecurityScheme": 5}, {"type": "http", "scheme": 5}]))
def test_cards_with_any_skills_and_schemes_can_be_shown(skills: list[Any], scheme: dict[str, Any]):
    security = {"security": [{"s": []}], "securitySchemes": {"s": scheme}}
    for document in ({"capabilities": {"skills": skills}}, {"skills": skills} | security):
        try:
            card = read_card({"id": "x", "uri": "http://h"} | document)
        except InvalidRequest:
            continue
        to_json(describe_card(card.document))
