-- name: add_work_item
INSERT INTO work_items (work_item_id, tenant_id, execution_id, node_id, queue_type, payload, attempt,
                        idempotency_key, lease_seconds)
VALUES (%(work_item_id)s, %(tenant_id)s, %(execution_id)s, %(node_id)s, %(queue_type)s, %(payload)s, %(attempt)s,
        %(idempotency_key)s, %(lease_seconds)s);

-- name: list_claimable
-- The oldest first. A worker may ask for the items of one workflow only, as `python_tool:my-workflow`.
SELECT work_item_id, execution_id FROM work_items
 WHERE tenant_id = %(tenant_id)s AND lease_until IS NULL AND NOT %(worker_id)s = ANY(refused_by)
   AND (queue_type = ANY(%(queue_types)s) OR queue_type || ':' || (payload ->> 'workflow_id') = ANY(%(queue_types)s))
 ORDER BY created_at, work_item_id LIMIT %(limit)s;

-- name: claim
UPDATE work_items
   SET worker_id = %(worker_id)s, lease_fence = lease_fence + 1,
       lease_until = now() + make_interval(secs => greatest(%(seconds)s, coalesce(lease_seconds, 0)))
 WHERE work_item_id = %(work_item_id)s AND lease_until IS NULL
RETURNING work_item_id, execution_id, node_id, queue_type, payload, attempt, idempotency_key, worker_id, lease_fence;

-- name: find_work_item
SELECT work_item_id, execution_id, node_id, queue_type, payload, attempt, idempotency_key, worker_id, lease_fence
  FROM work_items WHERE work_item_id = %(work_item_id)s AND tenant_id = %(tenant_id)s;

-- name: renew
UPDATE work_items
   SET lease_until = now() + make_interval(secs => greatest(%(seconds)s, coalesce(lease_seconds, 0)))
 WHERE work_item_id = %(work_item_id)s AND tenant_id = %(tenant_id)s AND lease_until IS NOT NULL
   AND (%(lease_fence)s::bigint IS NULL OR lease_fence = %(lease_fence)s)
RETURNING work_item_id;

-- name: give_back
UPDATE work_items SET lease_until = NULL, worker_id = NULL, refused_by = refused_by || %(worker_id)s::text
 WHERE work_item_id = %(work_item_id)s;

-- name: list_expired
SELECT work_item_id, execution_id FROM work_items
 WHERE lease_until < now() AND work_item_id <> ALL (%(but)s::uuid[])
 ORDER BY lease_until LIMIT %(limit)s;

-- name: is_expired
SELECT worker_id FROM work_items WHERE work_item_id = %(work_item_id)s AND lease_until < now();
