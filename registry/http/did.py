"""The registry's DID document, for everybody."""

from starlette.requests import Request
from starlette.responses import Response

from groundwork.http.openapi import DocumentedRouter
from registry.did.document import DidDocument
from registry.did.service import load_did_document
from registry.http.deps import CurrentRegistry
from registry.http.errors import JsonResponse
from registry.http.openapi import failures

router = DocumentedRouter(tags=["federation"])

_DID_JSON = "application/did+json"


# Behind a public URL with a path, `did.json` below that path is where the document is looked for.
@router.get("/did.json", response_model=DidDocument, responses=failures(), include_in_schema=False)
@router.get("/.well-known/did.json", response_model=DidDocument, responses=failures())
async def get_did_document(request: Request, registry: CurrentRegistry) -> Response:
    """The registry's DID document, with a service for each agent that is alive: of the tenant `default`, and of
    tenants whose policy has `"public_agents": true`; at most 1,000. For everybody, without a token. The media type
    is `application/did+json` for those who accept that by name."""
    if registry.settings.jamjet_dev_mode:
        registry.own_hosts.check(request)
    document = await load_did_document(registry.pool, registry.keys, registry.public_url)
    headers = {"Vary": "Accept"}
    if _DID_JSON in request.headers.get("accept", "").lower():
        headers["Content-Type"] = _DID_JSON
    return JsonResponse(document, headers=headers)
