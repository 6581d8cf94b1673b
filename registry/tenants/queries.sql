-- name: lock_limits
-- Held to the end of the transaction: whoever else asks for this tenant's limits waits, and so counts what is made
-- here; and the tenant is neither suspended nor deleted meanwhile.
SELECT status, limits FROM tenants WHERE tenant_id = %(tenant_id)s FOR NO KEY UPDATE;

-- name: create_tenant
INSERT INTO tenants (tenant_id, name, policy, limits)
VALUES (%(tenant_id)s, %(name)s, %(policy)s, %(limits)s)
ON CONFLICT DO NOTHING;

-- name: get_tenant
SELECT tenant_id, name, status, policy, limits, created_at, updated_at
  FROM tenants
 WHERE tenant_id = %(tenant_id)s AND status <> 'deleted'
   AND (%(scope)s::text IS NULL OR tenant_id = %(scope)s);

-- name: lock_tenant
SELECT tenant_id, name, status, policy, limits, created_at, updated_at
  FROM tenants
 WHERE tenant_id = %(tenant_id)s AND status <> 'deleted'
   FOR NO KEY UPDATE;

-- name: list_tenants
SELECT tenant_id, name, status, policy, limits, created_at, updated_at
  FROM tenants
 WHERE status <> 'deleted' AND (%(scope)s::text IS NULL OR tenant_id = %(scope)s)
 ORDER BY created_at, tenant_id
 LIMIT %(limit)s OFFSET %(offset)s;

-- name: count_tenants
SELECT count(*) AS total
  FROM tenants
 WHERE status <> 'deleted' AND (%(scope)s::text IS NULL OR tenant_id = %(scope)s);

-- name: update_tenant
UPDATE tenants
   SET name = %(name)s, status = %(status)s, policy = %(policy)s, limits = %(limits)s, updated_at = now()
 WHERE tenant_id = %(tenant_id)s
RETURNING updated_at;

-- name: delete_tenant
UPDATE tenants SET status = 'deleted', policy = '{}', limits = '{}', updated_at = now()
 WHERE tenant_id = %(tenant_id)s;

-- name: delete_questions
DELETE FROM questions WHERE tenant_id = %(tenant_id)s;

-- name: delete_agents
DELETE FROM agents WHERE tenant_id = %(tenant_id)s;

-- name: delete_agent_usage
DELETE FROM agent_usage WHERE tenant_id = %(tenant_id)s;

-- name: delete_components
DELETE FROM components WHERE tenant_id = %(tenant_id)s;

-- name: delete_component_generations
DELETE FROM component_generations WHERE tenant_id = %(tenant_id)s;

-- name: delete_tokens
DELETE FROM tokens WHERE tenant_id = %(tenant_id)s;

-- name: delete_workers
DELETE FROM workers WHERE tenant_id = %(tenant_id)s;

-- name: lock_executions
-- First, so that no worker writes another checkpoint meanwhile; those that have begun others before those, as everywhere.
SELECT execution_id FROM executions WHERE tenant_id = %(tenant_id)s ORDER BY position FOR UPDATE;

-- name: delete_checkpoint_writes
DELETE FROM checkpoint_writes WHERE thread_id IN (SELECT execution_id::text FROM executions WHERE tenant_id = %(tenant_id)s);

-- name: delete_checkpoint_blobs
DELETE FROM checkpoint_blobs WHERE thread_id IN (SELECT execution_id::text FROM executions WHERE tenant_id = %(tenant_id)s);

-- name: delete_checkpoints
DELETE FROM checkpoints WHERE thread_id IN (SELECT execution_id::text FROM executions WHERE tenant_id = %(tenant_id)s);

-- name: delete_executions
-- With their events, waits and work; a worker that has one in hand finds that it is no longer its own.
DELETE FROM executions WHERE tenant_id = %(tenant_id)s;

-- name: delete_workflows
DELETE FROM workflows WHERE tenant_id = %(tenant_id)s;

-- name: delete_cron_jobs
DELETE FROM cron_jobs WHERE tenant_id = %(tenant_id)s;

-- name: delete_erasures
-- With what agents were asked, and have answered.
DELETE FROM erasures WHERE tenant_id = %(tenant_id)s;

-- name: delete_artifacts
DELETE FROM artifacts WHERE tenant_id = %(tenant_id)s;
