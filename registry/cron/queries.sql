-- name: read_clock
SELECT now() AS now;

-- name: put_cron_job
INSERT INTO cron_jobs (tenant_id, name, cron_expression, time_zone, workflow_id, workflow_version, input, enabled,
                       next_run_at)
VALUES (%(tenant_id)s, %(name)s, %(cron_expression)s, %(time_zone)s, %(workflow_id)s, %(workflow_version)s,
        %(input)s, %(enabled)s, %(next_run_at)s)
ON CONFLICT (tenant_id, name) DO UPDATE
   SET cron_expression = excluded.cron_expression, time_zone = excluded.time_zone, workflow_id = excluded.workflow_id,
       workflow_version = excluded.workflow_version, input = excluded.input, enabled = excluded.enabled,
       next_run_at = excluded.next_run_at, updated_at = now();

-- name: list_cron_jobs
SELECT tenant_id, name, cron_expression, time_zone, workflow_id, workflow_version, input, enabled, next_run_at,
       last_run_at, last_execution_id, last_error
  FROM cron_jobs WHERE tenant_id = %(tenant_id)s ORDER BY name;

-- name: delete_cron_job
DELETE FROM cron_jobs WHERE tenant_id = %(tenant_id)s AND name = %(name)s RETURNING name;

-- name: list_due_cron_jobs
SELECT tenant_id, name FROM cron_jobs
 WHERE enabled AND next_run_at <= now()
   AND EXISTS (SELECT FROM tenants WHERE tenants.tenant_id = cron_jobs.tenant_id AND tenants.status = 'active')
   AND NOT EXISTS (SELECT FROM unnest(%(but_tenants)s::text[], %(but_names)s::text[]) AS but (tenant_id, name)
                    WHERE but.tenant_id = cron_jobs.tenant_id AND but.name = cron_jobs.name)
 ORDER BY next_run_at LIMIT %(limit)s;

-- name: lock_due_cron_job
-- Of several registries that have found it, one gets the row.
SELECT tenant_id, name, cron_expression, time_zone, workflow_id, workflow_version, input, enabled, next_run_at,
       last_run_at, last_execution_id, last_error, now() AS now
  FROM cron_jobs
 WHERE tenant_id = %(tenant_id)s AND name = %(name)s AND enabled AND next_run_at <= now()
   FOR UPDATE SKIP LOCKED;

-- name: note_run
UPDATE cron_jobs
   SET next_run_at = %(next_run_at)s, enabled = enabled AND %(next_run_at)s::timestamptz IS NOT NULL, last_run_at = now(),
       last_execution_id = coalesce(%(execution_id)s, last_execution_id), last_error = %(error)s
 WHERE tenant_id = %(tenant_id)s AND name = %(name)s;
