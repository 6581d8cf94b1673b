-- name: put_artifact
INSERT INTO artifacts (tenant_id, hash, media_type, content)
VALUES (%(tenant_id)s, %(hash)s, %(media_type)s, %(content)s)
ON CONFLICT (tenant_id, hash) DO NOTHING;

-- name: get_artifact
SELECT media_type, content FROM artifacts WHERE tenant_id = %(tenant_id)s AND hash = %(hash)s;
