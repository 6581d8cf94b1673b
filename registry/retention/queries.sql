-- name: open_sweep
INSERT INTO retention_sweeps (kind) VALUES (%(kind)s) ON CONFLICT DO NOTHING;

-- name: take_sweep
-- Held until the transaction ends: another process that comes meanwhile goes away again.
SELECT kind FROM retention_sweeps WHERE kind = %(kind)s AND next_at <= now() FOR UPDATE SKIP LOCKED;

-- name: end_pass
UPDATE retention_sweeps SET next_at = now() + make_interval(secs => %(pause_seconds)s) WHERE kind = %(kind)s;

-- name: list_old_executions
-- Only what has ended, and is neither waited for nor waits itself: not a child whose parent goes on, which still reads
-- it, and not a parent whose child goes on.
SELECT e.tenant_id, e.execution_id
  FROM executions e
 WHERE e.completed_at < now() - make_interval(secs => %(seconds)s)
   AND e.status IN ('completed', 'failed', 'cancelled', 'limit_exceeded')
   AND e.execution_id <> ALL (%(but)s::uuid[])
   AND NOT EXISTS (SELECT FROM executions p WHERE p.execution_id = e.parent_execution_id
                      AND p.status IN ('pending', 'running', 'paused'))
   AND NOT EXISTS (SELECT FROM executions c WHERE c.parent_execution_id = e.execution_id
                      AND c.status IN ('pending', 'running', 'paused'))
 ORDER BY e.completed_at LIMIT %(limit)s;

-- name: has_old_artifacts
SELECT FROM artifacts WHERE created_at < now() - make_interval(secs => %(seconds)s) LIMIT 1;

-- name: remove_old_artifacts
-- By when they were last put. Those that an execution which goes on speaks of stay: see erase_artifacts of erasures.
WITH live AS (
    SELECT tenant_id, execution_id, state, initial_input FROM executions WHERE status IN ('pending', 'running', 'paused')
), named AS MATERIALIZED (
    SELECT DISTINCT said.tenant_id, decode(name[1], 'hex') AS hash
      FROM (SELECT tenant_id, state::text AS text FROM live
             UNION ALL SELECT tenant_id, initial_input::text FROM live
             UNION ALL SELECT l.tenant_id, v.data::text
                         FROM live l JOIN execution_events v ON v.execution_id = l.execution_id) AS said
     CROSS JOIN LATERAL regexp_matches(said.text, '\m([0-9a-f]{64})\M', 'g') AS name
), old AS (
    SELECT tenant_id, hash FROM artifacts
     WHERE created_at < now() - make_interval(secs => %(seconds)s)
       AND (tenant_id, hash) NOT IN (SELECT tenant_id, hash FROM named)
     ORDER BY created_at LIMIT %(limit)s
)
DELETE FROM artifacts a USING old
 WHERE a.tenant_id = old.tenant_id AND a.hash = old.hash
   AND a.created_at < now() - make_interval(secs => %(seconds)s);
