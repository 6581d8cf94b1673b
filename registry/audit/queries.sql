-- name: append_entry
SELECT append_audit_entry(
    %(tenant_id)s, %(event_type)s, %(actor_type)s, %(actor_id)s, %(role)s, %(subject)s, %(execution_id)s,
    %(detail)s, %(request_id)s
);

-- name: find_extent
-- Where the chain ends, and how many entries up to there are wanted. Only those of one execution are counted, in an
-- index, and they are few.
SELECT sequence AS last_sequence,
       CASE
       WHEN %(execution_id)s::text IS NOT NULL THEN (
           SELECT count(*) FROM audit_entries
            WHERE tenant_id = %(tenant_id)s AND execution_id = %(execution_id)s
              AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
              AND (%(actor_id)s::text IS NULL OR actor_id = %(actor_id)s)
       )
       WHEN %(event_type)s::text IS NOT NULL OR %(actor_id)s::text IS NOT NULL THEN (
           SELECT coalesce(sum(entries), 0)::bigint FROM audit_totals
            WHERE tenant_id = %(tenant_id)s
              AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
              AND (%(actor_id)s::text IS NULL OR actor_id = %(actor_id)s)
       )
       ELSE sequence
       END AS total
  FROM audit_chains
 WHERE tenant_id = %(tenant_id)s;

-- name: list_entries
-- The numbers are found in an index alone, so that those before the page are not read themselves.
SELECT sequence, created_at, event_type, actor_type, actor_id, role, subject, execution_id, detail, request_id,
       previous_hash, hash
  FROM audit_entries
 WHERE tenant_id = %(tenant_id)s AND sequence = ANY (ARRAY(
           SELECT sequence FROM audit_entries
            WHERE tenant_id = %(tenant_id)s AND sequence <= %(last_sequence)s
              AND (%(execution_id)s::text IS NULL OR execution_id = %(execution_id)s)
              AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
              AND (%(actor_id)s::text IS NULL OR actor_id = %(actor_id)s)
            ORDER BY sequence DESC LIMIT %(limit)s OFFSET %(offset)s
       ))
 ORDER BY sequence DESC;

-- name: use_one_snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: list_heads
SELECT tenant_id, sequence, hash FROM audit_chains
 WHERE %(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s
 ORDER BY tenant_id;

-- name: stream_entries
SELECT tenant_id, sequence, extract(epoch FROM created_at)::text AS created_at, event_type, actor_type, actor_id,
       role, subject, execution_id, detail::text AS detail, request_id, previous_hash, hash
  FROM audit_entries
 WHERE %(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s
 ORDER BY tenant_id, sequence;
