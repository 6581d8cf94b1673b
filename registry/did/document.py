"""The registry's DID document: W3C's way to say under one name which agents are where."""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

from typing_extensions import TypedDict

from registry.access import PLATFORM_TENANT
from registry.did.store import PublicAgent
from registry.keys.service import Jwk


class DidService(TypedDict):
    id: str
    type: str
    serviceEndpoint: str
    name: str


class VerificationMethod(TypedDict):
    id: str
    type: str
    controller: str
    publicKeyJwk: Jwk


DidDocument = TypedDict(
    "DidDocument",
    {
        "@context": list[str],
        "id": str,
        "verificationMethod": list[VerificationMethod],
        "assertionMethod": list[str],
        "service": list[DidService],
    },
)


def build_did(public_url: str) -> str:
    """`did:web:registry.example.com%3A7700:path` for `https://registry.example.com:7700/path`."""
    parts = urlsplit(public_url)
    host = parts.netloc.lower()
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    return ":".join(["did:web", *map(_encoded, [host, *segments])])


def build_document(public_url: str, agents: Iterable[PublicAgent], keys: Iterable[Jwk] = ()) -> DidDocument:
    did = build_did(public_url)
    methods: list[VerificationMethod] = [
        {"id": f"{did}#{_encoded(key['kid'])}", "type": "JsonWebKey2020", "controller": did, "publicKeyJwk": key}
        for key in keys
    ]
    return {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"],
        "id": did,
        "verificationMethod": methods,
        "assertionMethod": [method["id"] for method in methods],
        "service": [
            {
                "id": f"{did}#{_fragment(agent)}",
                "type": _type(agent),
                "serviceEndpoint": agent.uri,
                "name": agent.name,
            }
            for agent in agents
        ],
    }


def _fragment(agent: PublicAgent) -> str:
    """The agent's id, after its tenant's and a slash, which no id contains, unless it is one of the platform's."""
    path = [agent.agent_id] if agent.tenant_id == PLATFORM_TENANT else [agent.tenant_id, agent.agent_id]
    return "/".join(map(_encoded, path))


def _type(agent: PublicAgent) -> str:
    """JamJet calls all of them A2A's; those that say that they speak something else are not."""
    return "A2AService" if not agent.protocols or "a2a" in agent.protocols else "AgentService"


def _encoded(text: str) -> str:
    """As the syntax of DIDs wants it, which has no `~`."""
    return re.sub("~", "%7E", quote(text, safe=""))
