-- name: open_session
INSERT INTO console_sessions (session_id, session_hash, token_id, browser, ends_at)
VALUES (%(session_id)s, %(session_hash)s, %(token_id)s, %(browser)s, now() + %(longest)s);

-- name: drop_ended_sessions
-- Those whose time is over, of whichever token; and the oldest of this token beyond as many as it may have.
DELETE FROM console_sessions
 WHERE ends_at < now()
    OR session_id IN (SELECT session_id FROM console_sessions WHERE token_id = %(token_id)s
                       ORDER BY created_at DESC OFFSET %(most)s);

-- name: find_session
-- With the token behind it: a session lets in no longer than its token does.
SELECT s.session_id, t.token_id, t.tenant_id, t.role, t.name AS token_name, t.revoked_at IS NOT NULL AS revoked,
       t.expires_at IS NOT NULL AND t.expires_at <= now() AS expired, tenants.status AS tenant_status,
       s.last_seen_at < now() - interval '1 minute' AS use_is_worth_noting
  FROM console_sessions s JOIN tokens t USING (token_id) JOIN tenants USING (tenant_id)
 WHERE s.session_hash = %(session_hash)s AND s.ends_at > now() AND s.last_seen_at > now() - %(idle)s::interval;

-- name: note_use
UPDATE console_sessions SET last_seen_at = now()
 WHERE session_id = %(session_id)s AND last_seen_at < now() - interval '1 minute';

-- name: list_sessions
SELECT session_id, browser, created_at, last_seen_at, ends_at FROM console_sessions
 WHERE token_id = %(token_id)s AND ends_at > now() AND last_seen_at > now() - %(idle)s::interval
 ORDER BY created_at DESC;

-- name: end_sessions
-- One of the token's, or all of them.
DELETE FROM console_sessions
 WHERE token_id = %(token_id)s AND (%(session_id)s::text IS NULL OR session_id = %(session_id)s);
