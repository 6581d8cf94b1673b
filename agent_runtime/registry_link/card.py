"""The agent's card as JamJet writes it, which is not the card that A2A serves."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from agent_runtime.project.file import CardSpec


def build_registry_card(
    spec: CardSpec,
    agent_id: str,
    url: str,
    *,
    bearer: bool,
    tools_consumed: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The card of an agent reached at `url`; `bearer` says that callers need a token.

    It has every field that JamJet's own runtime insists on, of the type it insists on: schemas are strings there,
    and a bearer token has scopes. A skill's `id` and `tags` are A2A's, and extra.
    """
    accepted, produced = _schema(spec.default_input_modes), _schema(spec.default_output_modes)
    return {
        "id": agent_id,
        "uri": url,
        "name": spec.name,
        "description": spec.description,
        "version": spec.version,
        "capabilities": {
            "skills": [
                {
                    "id": skill.id,
                    "name": skill.name,
                    "description": skill.description,
                    "tags": list(skill.tags),
                    "input_schema": accepted,
                    "output_schema": produced,
                }
                for skill in spec.skills
            ],
            "protocols": ["a2a"],
            "tools_provided": [],
            "tools_consumed": list(tools_consumed),
        },
        "autonomy": "guided",
        "auth": {"type": "bearer_token", "scopes": []} if bearer else {"type": "none"},
        "labels": dict(labels or {}),
    }


def _schema(modes: Iterable[str]) -> str:
    """The JSON Schema, as text, of content in one of these media types."""
    kinds = [{"type": "string", "contentMediaType": mode} for mode in modes]
    return json.dumps(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
