-- name: put_artifact
-- One that is put again is new again, for ARTIFACT_RETENTION_DAYS; within an hour nothing is written for that.
INSERT INTO artifacts (tenant_id, hash, media_type, content)
VALUES (%(tenant_id)s, %(hash)s, %(media_type)s, %(content)s)
ON CONFLICT (tenant_id, hash) DO UPDATE SET created_at = now()
 WHERE artifacts.created_at < now() - interval '1 hour';

-- name: get_artifact
SELECT media_type, content FROM artifacts WHERE tenant_id = %(tenant_id)s AND hash = %(hash)s;
