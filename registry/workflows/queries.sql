-- name: lock_workflow
-- Whoever else registers this workflow waits from here to the end of the transaction.
INSERT INTO workflows (tenant_id, workflow_id) VALUES (%(tenant_id)s, %(workflow_id)s)
ON CONFLICT (tenant_id, workflow_id) DO UPDATE SET workflow_id = excluded.workflow_id;

-- name: find_newest
SELECT revision_id, revision, digest FROM workflow_revisions
 WHERE tenant_id = %(tenant_id)s AND workflow_id = %(workflow_id)s AND version = %(version)s
 ORDER BY revision DESC LIMIT 1;

-- name: add_revision
INSERT INTO workflow_revisions (tenant_id, workflow_id, version, revision, name, description, digest, document)
VALUES (%(tenant_id)s, %(workflow_id)s, %(version)s, %(revision)s, %(name)s, %(description)s, %(digest)s,
        %(document)s);

-- name: list_versions
-- Each with its newest revision.
SELECT DISTINCT ON (version) version, revision, revision_id, registered_at FROM workflow_revisions
 WHERE tenant_id = %(tenant_id)s AND workflow_id = %(workflow_id)s
 ORDER BY version, revision DESC;

-- name: set_latest
UPDATE workflows SET latest_revision_id = %(revision_id)s
 WHERE tenant_id = %(tenant_id)s AND workflow_id = %(workflow_id)s;

-- name: get_latest
SELECT r.revision_id, r.workflow_id, r.version, r.revision, r.name, r.description, r.registered_at, r.document
  FROM workflows w JOIN workflow_revisions r ON r.revision_id = w.latest_revision_id
 WHERE w.tenant_id = %(tenant_id)s AND w.workflow_id = %(workflow_id)s;

-- name: get_version
-- Its newest revision, or the one that is asked for.
SELECT revision_id, workflow_id, version, revision, name, description, registered_at, document
  FROM workflow_revisions
 WHERE tenant_id = %(tenant_id)s AND workflow_id = %(workflow_id)s AND version = %(version)s
   AND revision = coalesce(%(revision)s::int, revision)
 ORDER BY revision DESC LIMIT 1;

-- name: get_revision
SELECT revision_id, workflow_id, version, revision, name, description, registered_at, document
  FROM workflow_revisions WHERE revision_id = %(revision_id)s;

-- name: list_workflows
SELECT r.workflow_id, r.version, r.revision, r.name, r.description, r.registered_at
  FROM workflows w JOIN workflow_revisions r ON r.revision_id = w.latest_revision_id
 WHERE w.tenant_id = %(tenant_id)s
 ORDER BY w.workflow_id LIMIT %(limit)s OFFSET %(offset)s;

-- name: count_workflows
SELECT count(*) AS total FROM workflows WHERE tenant_id = %(tenant_id)s;
