-- name: put_worker
-- Takes or renews the lease. A row that was removed because it had run out comes back as it was.
INSERT INTO workers (tenant_id, worker_id, queue_types, status, in_hand, started_at, last_seen_at, lease_until)
VALUES (
    %(tenant_id)s, %(worker_id)s, %(queue_types)s, %(status)s, %(in_hand)s, coalesce(%(started_at)s, now()), now(),
    now() + make_interval(secs => %(seconds)s)
)
ON CONFLICT (coalesce(tenant_id, ''), worker_id) DO UPDATE
   SET queue_types = excluded.queue_types, status = excluded.status, in_hand = excluded.in_hand,
       started_at = coalesce(%(started_at)s, workers.started_at), last_seen_at = excluded.last_seen_at,
       lease_until = excluded.lease_until
RETURNING started_at;

-- name: remove_worker
DELETE FROM workers WHERE coalesce(tenant_id, '') = coalesce(%(tenant_id)s, '') AND worker_id = %(worker_id)s;

-- name: forget_dead_workers
DELETE FROM workers WHERE lease_until < now() - interval '1 hour';

-- name: list_workers
-- Of what the registry's own workers have in hand, a tenant sees its own. What workers outside have in hand is what
-- they have claimed.
SELECT worker_id, queue_types, status, started_at, last_seen_at,
       ARRAY(SELECT held FROM unnest(in_hand) AS held JOIN executions e ON e.execution_id = substr(held, 6)::uuid
              WHERE e.tenant_id = %(tenant_id)s)
       || ARRAY(SELECT 'exec_' || replace(i.execution_id::text, '-', '') FROM work_items i
                         WHERE i.tenant_id = workers.tenant_id AND i.worker_id = workers.worker_id
                         ORDER BY i.created_at LIMIT 100) AS in_hand
  FROM workers
 WHERE (tenant_id IS NULL OR tenant_id = %(tenant_id)s) AND lease_until > now()
 ORDER BY worker_id, tenant_id
 LIMIT %(limit)s;
