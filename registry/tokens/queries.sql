-- name: find_tokens
SELECT t.token_id, t.tenant_id, t.role, t.token_hash, t.revoked_at IS NOT NULL AS revoked,
       t.expires_at IS NOT NULL AND t.expires_at <= now() AS expired, tenants.status AS tenant_status,
       t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute' AS use_is_worth_noting
  FROM tokens t JOIN tenants USING (tenant_id)
 WHERE t.token_hash = ANY(%(token_hashes)s);

-- name: note_use
-- Once a minute is enough to see which tokens are in use, and spares a write with every request.
UPDATE tokens SET last_used_at = now()
 WHERE token_id = %(token_id)s AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');

-- name: lock_against_new
-- Reading goes on meanwhile.
LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE;

-- name: is_any_there
SELECT EXISTS (SELECT FROM tokens) AS found;

-- name: create_token
-- Nothing when the tenant is not there, or is no more. The lock is for a tenant that is just being deleted: its
-- tokens go with it, this one included.
INSERT INTO tokens (token_id, tenant_id, role, name, token_hash, expires_at)
SELECT %(token_id)s, tenants.tenant_id, %(role)s, %(name)s, %(token_hash)s, now() + %(expires_in)s
  FROM tenants WHERE tenants.tenant_id = %(tenant_id)s AND tenants.status <> 'deleted'
   FOR SHARE;

-- name: get_token
SELECT token_id, tenant_id, role, name, created_at, expires_at, revoked_at, last_used_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'active' END
       AS status
  FROM tokens
 WHERE token_id = %(token_id)s AND (%(scope)s::text IS NULL OR tenant_id = %(scope)s);

-- name: list_tokens
SELECT token_id, tenant_id, role, name, created_at, expires_at, revoked_at, last_used_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'active' END
       AS status
  FROM tokens
 WHERE %(scope)s::text IS NULL OR tenant_id = %(scope)s
 ORDER BY created_at, token_id
 LIMIT %(limit)s OFFSET %(offset)s;

-- name: count_tokens
SELECT count(*) AS total FROM tokens WHERE %(scope)s::text IS NULL OR tenant_id = %(scope)s;

-- name: revoke_token
UPDATE tokens SET revoked_at = now() WHERE token_id = %(token_id)s AND revoked_at IS NULL;
