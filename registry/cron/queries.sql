-- name: put_cron_job
INSERT INTO cron_jobs (tenant_id, name, cron_expression, workflow_id, workflow_version, input, enabled, next_run_at)
VALUES (%(tenant_id)s, %(name)s, %(cron_expression)s, %(workflow_id)s, %(workflow_version)s, %(input)s, %(enabled)s,
        %(next_run_at)s)
ON CONFLICT (tenant_id, name) DO UPDATE
   SET cron_expression = excluded.cron_expression, workflow_id = excluded.workflow_id,
       workflow_version = excluded.workflow_version, input = excluded.input, enabled = excluded.enabled,
       next_run_at = excluded.next_run_at, updated_at = now();

-- name: list_cron_jobs
SELECT tenant_id, name, cron_expression, workflow_id, workflow_version, input, enabled, next_run_at, last_run_at,
       last_execution_id, last_error
  FROM cron_jobs WHERE tenant_id = %(tenant_id)s ORDER BY name;

-- name: delete_cron_job
DELETE FROM cron_jobs WHERE tenant_id = %(tenant_id)s AND name = %(name)s RETURNING name;

-- name: lock_due_cron_job
-- One at a time, each in a transaction of its own; another registry takes the next one.
SELECT tenant_id, name, cron_expression, workflow_id, workflow_version, input, enabled, next_run_at, last_run_at,
       last_execution_id, last_error
  FROM cron_jobs
 WHERE enabled AND next_run_at <= now()
   AND EXISTS (SELECT FROM tenants WHERE tenants.tenant_id = cron_jobs.tenant_id AND tenants.status = 'active')
 ORDER BY next_run_at LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: note_run
UPDATE cron_jobs
   SET next_run_at = %(next_run_at)s, last_run_at = now(),
       last_execution_id = coalesce(%(execution_id)s, last_execution_id), last_error = %(error)s
 WHERE tenant_id = %(tenant_id)s AND name = %(name)s;
