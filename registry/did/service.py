"""What is said to everybody."""

from groundwork.postgres.pool import Pool, connection
from registry.did import store
from registry.did.document import DidDocument, build_document
from registry.keys.service import Keys

MOST_SERVICES = 1000


async def load_did_document(pool: Pool, keys: Keys, public_url: str) -> DidDocument:
    """The document as it is now; of more than `MOST_SERVICES` agents, only the first ones are in it."""
    async with connection(pool) as conn:
        agents = await store.list_public_agents(conn, MOST_SERVICES)
    return build_document(public_url, agents, await keys.list_public())
