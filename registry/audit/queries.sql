-- name: append_entry
SELECT append_audit_entry(
    %(tenant_id)s, %(event_type)s, %(actor_type)s, %(actor_id)s, %(role)s, %(subject)s, %(execution_id)s,
    %(detail)s, %(request_id)s
);

-- name: note_refusal
INSERT INTO audit_refusals AS r (tenant_id, actor_id, kind, actor_type, role, entries)
VALUES (%(tenant_id)s, %(actor_id)s, %(kind)s, %(actor_type)s, %(role)s, 1)
    ON CONFLICT (tenant_id, actor_id, kind) DO UPDATE
   SET entries = least(r.entries, %(most)s) + 1, last_at = now(),
       counted = r.counted + CASE WHEN r.entries >= %(most)s THEN 1 ELSE 0 END
RETURNING entries, extract(epoch FROM began_at + interval '1 hour' - now())::float8 AS seconds_left;

-- name: count_refusals
-- Where the hour has ended meanwhile they count for the next one.
INSERT INTO audit_refusals AS r (tenant_id, actor_id, kind, actor_type, role, counted)
VALUES (%(tenant_id)s, %(actor_id)s, %(kind)s, %(actor_type)s, %(role)s, %(count)s)
    ON CONFLICT (tenant_id, actor_id, kind) DO UPDATE
   SET counted = r.counted + excluded.counted, last_at = now();

-- name: list_ended_refusals
SELECT tenant_id, actor_id, kind FROM audit_refusals r
 WHERE began_at <= now() - interval '1 hour'
   AND NOT EXISTS (SELECT FROM unnest(%(but_tenants)s::text[], %(but_actors)s::text[], %(but_kinds)s::text[])
                            AS but (tenant_id, actor_id, kind)
                    WHERE (but.tenant_id, but.actor_id, but.kind) = (r.tenant_id, r.actor_id, r.kind))
 ORDER BY tenant_id, actor_id, kind LIMIT 1000;

-- name: end_refusals
-- Of several who look at the same time, one gets the row.
DELETE FROM audit_refusals
 WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor_id)s AND kind = %(kind)s
   AND began_at <= now() - interval '1 hour'
RETURNING counted, role, actor_type, began_at, last_at;

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

-- name: list_entries_after
SELECT sequence, created_at, event_type, actor_type, actor_id, role, subject, execution_id, detail, request_id,
       previous_hash, hash
  FROM audit_entries
 WHERE tenant_id = %(tenant_id)s AND sequence > %(after)s
 ORDER BY sequence LIMIT %(limit)s;

-- name: use_one_snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: list_heads
SELECT tenant_id, sequence, hash FROM audit_chains
 WHERE %(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s
 ORDER BY tenant_id;

-- name: list_totals
SELECT tenant_id, event_type, actor_id, entries FROM audit_totals
 WHERE %(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s;

-- name: list_tenants_with_tokens
-- That a token was made is an entry of its tenant's: where there are tokens, there has to be a chain.
SELECT DISTINCT tenant_id FROM tokens WHERE %(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s;

-- name: stream_entries
SELECT tenant_id, sequence, extract(epoch FROM created_at)::text AS created_at, event_type, actor_type, actor_id,
       role, subject, execution_id, detail::text AS detail, request_id, previous_hash, hash
  FROM audit_entries
 WHERE %(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s
 ORDER BY tenant_id, sequence;
