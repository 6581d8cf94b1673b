-- name: list_tables
-- From the catalog alone. What it says of rows is as old as the last ANALYZE, and is scaled to the size of now.
SELECT c.relname AS name, coalesce(pg_total_relation_size(c.oid), 0) AS bytes,
       coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int AS pages,
       CASE WHEN c.relpages > 0 AND c.reltuples >= 0
            THEN c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::int)
            ELSE coalesce(pg_stat_get_live_tuples(c.oid), 0) END::bigint AS rows
  FROM pg_class c
 WHERE c.relname = ANY(%(tables)s) AND c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid)
 ORDER BY bytes DESC, name;

-- name: list_largest_threads
-- Of a sample of pages, which is all of them while the tables are small. `pg_column_size` says how long a value is
-- without reading it. The largest of all come first, so that few threads are looked up to find whose they are.
WITH rows AS (
    SELECT thread_id, (pg_column_size(checkpoint) + pg_column_size(metadata) + 100) * 100 / %(checkpoints)s::real AS bytes
      FROM checkpoints TABLESAMPLE SYSTEM (%(checkpoints)s::real)
    UNION ALL
    SELECT thread_id, (coalesce(pg_column_size(blob), 0) + 100) * 100 / %(checkpoint_blobs)s::real
      FROM checkpoint_blobs TABLESAMPLE SYSTEM (%(checkpoint_blobs)s::real)
    UNION ALL
    SELECT thread_id, (pg_column_size(blob) + 100) * 100 / %(checkpoint_writes)s::real
      FROM checkpoint_writes TABLESAMPLE SYSTEM (%(checkpoint_writes)s::real)
    UNION ALL
    SELECT thread_id, (pg_column_size(task) + 100) * 100 / %(a2a_tasks)s::real
      FROM a2a_tasks TABLESAMPLE SYSTEM (%(a2a_tasks)s::real)
), largest AS (
    SELECT thread_id, sum(bytes)::bigint AS bytes FROM rows GROUP BY thread_id
     ORDER BY bytes DESC, thread_id LIMIT %(looked_up)s
)
SELECT l.thread_id, l.bytes
  FROM largest l JOIN agent_threads t ON t.thread_id = l.thread_id COLLATE "C"
 WHERE t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
 ORDER BY l.bytes DESC, l.thread_id LIMIT %(limit)s;

-- name: find_days_observed
-- How long the agent has had threads, by its first one that is still there.
SELECT extract(epoch FROM now() - min(first.created_at))::float8 / 86400 AS days
  FROM agent_owners o
 CROSS JOIN LATERAL (
       SELECT t.created_at FROM agent_threads t WHERE t.owner_key = o.owner_key ORDER BY t.position LIMIT 1
       ) AS first
 WHERE o.agent_id = %(agent_id)s;

-- name: measure_new_rows
-- What share of a sample of each table is younger than that. The time of a checkpoint is in its id, a UUID of version 6.
WITH bound AS (
    SELECT now() - make_interval(secs => %(seconds)s) AS at
), hex AS (
    SELECT lpad(to_hex((extract(epoch FROM at) * 10000000)::bigint + 122192928000000000), 15, '0') AS time FROM bound
), first AS (
    SELECT concat(left(time, 8), '-', substr(time, 9, 4), '-6', substr(time, 13, 3)) AS checkpoint_id FROM hex
)
SELECT 'checkpoints' AS name,
       avg((c.checkpoint_id COLLATE "C" >= first.checkpoint_id)::int)::float8 AS share
  FROM checkpoints c TABLESAMPLE SYSTEM (%(checkpoints)s::real), first
 UNION ALL
SELECT 'agent_threads', avg((t.created_at >= bound.at)::int)::float8
  FROM agent_threads t TABLESAMPLE SYSTEM (%(agent_threads)s::real), bound
 UNION ALL
SELECT 'agent_turn_records', avg((t.accepted_at >= bound.at)::int)::float8
  FROM agent_turn_records t TABLESAMPLE SYSTEM (%(agent_turn_records)s::real), bound
 UNION ALL
SELECT 'agent_message_keys', avg((t.created_at >= bound.at)::int)::float8
  FROM agent_message_keys t TABLESAMPLE SYSTEM (%(agent_message_keys)s::real), bound
 UNION ALL
SELECT 'agent_runs', avg((t.created_at >= bound.at)::int)::float8
  FROM agent_runs t TABLESAMPLE SYSTEM (%(agent_runs)s::real), bound
 UNION ALL
SELECT 'a2a_tasks', avg((t.status_at >= bound.at)::int)::float8
  FROM a2a_tasks t TABLESAMPLE SYSTEM (%(a2a_tasks)s::real), bound
 UNION ALL
SELECT 'a2a_push_configs', avg((t.created_at >= bound.at)::int)::float8
  FROM a2a_push_configs t TABLESAMPLE SYSTEM (%(a2a_push_configs)s::real), bound
 UNION ALL
SELECT 'persistent_memory', avg((t.created_at >= bound.at)::int)::float8
  FROM persistent_memory t TABLESAMPLE SYSTEM (%(persistent_memory)s::real), bound
 UNION ALL
SELECT 'store', avg((t.created_at >= bound.at)::int)::float8
  FROM store t TABLESAMPLE SYSTEM (%(store)s::real), bound;

-- name: count_past_checkpoints
-- What the pruning of these threads would remove: see prune_checkpoints and prune_calls of retention.
WITH ranked AS (
    SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.checkpoint -> 'channel_versions' AS versions,
           c.metadata -> 'parents' ->> '' AS root,
           row_number() OVER (PARTITION BY c.thread_id, c.checkpoint_ns ORDER BY c.checkpoint_id DESC) AS age
      FROM checkpoints c WHERE c.thread_id = ANY(%(thread_ids)s)
), oldest AS (
    SELECT thread_id, checkpoint_id FROM ranked WHERE checkpoint_ns = '' AND age = %(keep)s
), calls AS (
    SELECT r.thread_id, r.checkpoint_ns FROM ranked r JOIN oldest o ON o.thread_id = r.thread_id
     WHERE r.age = 1 AND r.checkpoint_ns LIKE '%%:%%' AND r.root COLLATE "C" < o.checkpoint_id COLLATE "C"
), past AS (
    SELECT r.* FROM ranked r
     WHERE r.age > %(keep)s OR (r.thread_id, r.checkpoint_ns) IN (SELECT thread_id, checkpoint_ns FROM calls)
), freed AS (
    SELECT p.thread_id, p.checkpoint_ns, v.key, v.value FROM past p CROSS JOIN jsonb_each_text(p.versions) AS v
    EXCEPT
    SELECT r.thread_id, r.checkpoint_ns, v.key, v.value FROM ranked r CROSS JOIN jsonb_each_text(r.versions) AS v
     WHERE (r.thread_id, r.checkpoint_ns, r.checkpoint_id) NOT IN
           (SELECT thread_id, checkpoint_ns, checkpoint_id FROM past)
)
SELECT (SELECT count(*) FROM past) AS checkpoints,
       (SELECT count(*) FROM checkpoint_blobs b JOIN freed f ON b.thread_id = f.thread_id
           AND b.checkpoint_ns = f.checkpoint_ns AND b.channel = f.key AND b.version = f.value) AS checkpoint_blobs,
       (SELECT count(*) FROM checkpoint_writes w JOIN past p ON w.thread_id = p.thread_id
           AND w.checkpoint_ns = p.checkpoint_ns AND w.checkpoint_id = p.checkpoint_id) AS checkpoint_writes;

-- name: count_old_records
SELECT count(*) AS rows FROM agent_turn_records
 WHERE accepted_at < now() - make_interval(days => %(days)s)
   AND owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);

-- name: count_old_keys
-- Keys know no owner, but their threads do.
SELECT count(*) AS rows FROM agent_message_keys k JOIN agent_threads t ON t.thread_id = k.thread_id
 WHERE k.created_at < now() - make_interval(hours => %(hours)s)
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);
