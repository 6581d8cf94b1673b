"""`GET /audit`."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from starlette.responses import Response, StreamingResponse

from groundwork.http.json_body import to_json
from groundwork.http.openapi import DocumentedRouter
from registry.audit.models import AuditQuery, Entry, ShownPage, show_entry, show_page
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, query_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.runtime import Registry

router = DocumentedRouter(prefix="/audit", route_class=RegistryRoute, tags=["audit"])


@router.get("", response_model=ShownPage, responses=failures(), openapi_extra=described(query=AuditQuery))
async def list_audit_entries(
    principal: Reader, registry: CurrentRegistry, query: Annotated[AuditQuery, query_of(AuditQuery)]
) -> Response:
    """What was done in the caller's tenant, and what was refused for lack of rights, the newest first. With
    `after` the entries that follow that sequence, the oldest first, one JSON object on each line
    (`application/x-ndjson`): all there are, or the first `limit`."""
    if query.after is not None:
        limit = query.limit if "limit" in query.model_fields_set else None
        return await _stream(registry, principal.tenant_id, query.after, limit)
    return JsonResponse(show_page(await registry.audit.list_entries(principal.tenant_id, query)))


async def _stream(registry: Registry, tenant_id: str, after: int, limit: int | None) -> Response:
    # The first entries are fetched before the answer begins, so that an error so far still gets its status.
    batches = registry.audit.stream_after(tenant_id, after, limit)
    first: Sequence[Entry] = await anext(batches, [])

    async def lines() -> AsyncIterator[bytes]:
        yield _lines(first)
        async for batch in batches:
            yield _lines(batch)

    return StreamingResponse(lines(), media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


def _lines(entries: Sequence[Entry]) -> bytes:
    return b"".join(to_json(show_entry(entry)) + b"\n" for entry in entries)
