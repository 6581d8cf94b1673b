"""How people are logged in at the console: a token opens a session, and a cookie carries it."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from groundwork.postgres.pool import Pool, connection, transaction
from registry.access import Principal
from registry.audit.store import append_entry
from registry.errors import NotFound, Unauthenticated
from registry.sessions import store
from registry.sessions.models import IDLE, LONGEST, MOST_OF_A_TOKEN, LoggedIn, OpenedSession, Session
from registry.tokens.service import Tokens, refusal_of

_LONGEST_BROWSER = 200


class Sessions:
    """The sessions of all tokens. Every method raises `DatabaseUnavailable` when the database cannot be used."""

    def __init__(self, pool: Pool, tokens: Tokens) -> None:
        self._pool = pool
        self._tokens = tokens

    async def open(self, token: bytes, browser: str) -> OpenedSession:
        """Open a session for whoever holds the token. Raises `Unauthenticated` and `Forbidden` as the API does."""
        bearer = await self._tokens.identify(token)
        if bearer.refusal is not None:
            raise bearer.refusal
        principal, plaintext = bearer.principal, secrets.token_urlsafe(32)
        session_id = f"ses_{secrets.token_hex(8)}"
        shown = "".join(character for character in browser if character.isprintable())[:_LONGEST_BROWSER]
        async with transaction(self._pool) as conn:
            await store.open_session(conn, session_id, _hash(plaintext), principal.actor_id, shown, LONGEST)
            await store.drop_ended_sessions(conn, principal.actor_id, MOST_OF_A_TOKEN)
            await append_entry(conn, principal, "session_opened", f"session:{session_id}", browser=shown)
        return OpenedSession(plaintext, principal)

    async def identify(self, plaintext: str) -> LoggedIn:
        """Return who it is. Raises `Unauthenticated` for a session that is over, by itself or with its token, and
        `Forbidden` when the tenant is not active."""
        async with connection(self._pool) as conn:
            found = await store.find_session(conn, _hash(plaintext), IDLE)
            if found is None:
                raise Unauthenticated
            if refusal := refusal_of(found):
                raise refusal
            if found.use_is_worth_noting:
                await store.note_use(conn, found.session_id)
        return LoggedIn(found.session_id, Principal(found.tenant_id, found.role, found.token_id), found.token_name)

    async def list(self, principal: Principal) -> Sequence[Session]:
        """Return the open sessions of the principal's token, the newest first."""
        async with connection(self._pool) as conn:
            return await store.list_sessions(conn, principal.actor_id, IDLE)

    async def end(self, principal: Principal, session_id: str | None = None) -> int:
        """End a session of the principal's token, or all of them; return how many. Raises `NotFound`."""
        async with transaction(self._pool) as conn:
            ended = await store.end_sessions(conn, principal.actor_id, session_id)
            if session_id is not None and not ended:
                raise NotFound(f"session {session_id}")
            subject = f"session:{session_id}" if session_id else f"token:{principal.actor_id}"
            await append_entry(conn, principal, "session_ended", subject, sessions=ended)
        return ended


def form_token(plaintext: str) -> str:
    """Return what forms of the session carry: another site can make a browser send the cookie, but not this."""
    return hmac.new(plaintext.encode(), b"form", hashlib.sha256).hexdigest()


def _hash(plaintext: str) -> bytes:
    return hashlib.sha256(plaintext.encode()).digest()
