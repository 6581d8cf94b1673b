-- name: find_thread
SELECT t.caller, t.created_at, t.updated_at, coalesce(m.metadata, '{}') AS metadata
  FROM agent_threads t LEFT JOIN agent_thread_metadata m ON m.thread_id = t.thread_id
 WHERE t.thread_id = %(thread_id)s
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);

-- name: list_tasks
-- Those that nothing is done for: what another process works on would never end elsewhere.
SELECT task_id, task FROM a2a_tasks
 WHERE thread_id = %(thread_id)s
   AND state IN ('COMPLETED', 'FAILED', 'CANCELED', 'REJECTED', 'INPUT_REQUIRED', 'AUTH_REQUIRED')
 ORDER BY status_at, task_id;

-- name: export_agent_thread_metadata
SELECT row_to_json(t)::text AS row FROM agent_thread_metadata t WHERE t.thread_id = %(thread_id)s;

-- name: export_persistent_memory
SELECT row_to_json(t)::text AS row FROM persistent_memory t WHERE t.thread_id = %(thread_id)s;

-- name: export_a2a_tasks
SELECT row_to_json(t)::text AS row FROM a2a_tasks t
 WHERE t.thread_id = %(thread_id)s
   AND t.state IN ('COMPLETED', 'FAILED', 'CANCELED', 'REJECTED', 'INPUT_REQUIRED', 'AUTH_REQUIRED')
 ORDER BY t.status_at, t.task_id;

-- name: list_kept_checkpoints
-- What a thread goes on from: of each namespace the latest, but not of subgraph calls that began before the latest of
-- the root graph.
WITH latest AS (
    SELECT DISTINCT ON (checkpoint_ns) checkpoint_ns, checkpoint_id, metadata -> 'parents' ->> '' AS root
      FROM checkpoints WHERE thread_id = %(thread_id)s
     ORDER BY checkpoint_ns, checkpoint_id DESC
)
SELECT checkpoint_ns, checkpoint_id FROM latest l
 WHERE l.checkpoint_ns NOT LIKE '%%:%%'
    OR l.root COLLATE "C" >= (SELECT checkpoint_id COLLATE "C" FROM latest WHERE checkpoint_ns = '')
 ORDER BY checkpoint_ns;

-- name: export_checkpoints
-- All, or those given. A turn's id is one of this database.
SELECT row_to_json(r)::text AS row FROM (
    SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.type, c.checkpoint, c.metadata - 'turn_id' AS metadata,
           CASE WHEN %(whole)s THEN c.parent_checkpoint_id END AS parent_checkpoint_id
      FROM checkpoints c
     WHERE c.thread_id = %(thread_id)s
       AND (%(whole)s OR (c.checkpoint_ns, c.checkpoint_id) IN
            (SELECT * FROM unnest(%(namespaces)s::text[], %(checkpoint_ids)s::text[])))
     ORDER BY c.checkpoint_ns, c.checkpoint_id) AS r;

-- name: export_checkpoint_blobs
SELECT row_to_json(b)::text AS row FROM checkpoint_blobs b
 WHERE b.thread_id = %(thread_id)s
   AND (%(whole)s OR (b.checkpoint_ns, b.channel, b.version) IN
        (SELECT c.checkpoint_ns, v.key, v.value
           FROM checkpoints c
           JOIN unnest(%(namespaces)s::text[], %(checkpoint_ids)s::text[]) AS kept (ns, id)
             ON c.checkpoint_ns = kept.ns AND c.checkpoint_id = kept.id
          CROSS JOIN jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
          WHERE c.thread_id = %(thread_id)s))
 ORDER BY b.checkpoint_ns, b.channel, b.version;

-- name: export_checkpoint_writes
SELECT row_to_json(w)::text AS row FROM checkpoint_writes w
 WHERE w.thread_id = %(thread_id)s
   AND (%(whole)s OR (w.checkpoint_ns, w.checkpoint_id) IN
        (SELECT * FROM unnest(%(namespaces)s::text[], %(checkpoint_ids)s::text[])))
 ORDER BY w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx;

-- name: import_agent_thread_metadata
INSERT INTO agent_thread_metadata SELECT * FROM json_populate_record(NULL::agent_thread_metadata, %(row)s);

-- name: import_persistent_memory
INSERT INTO persistent_memory SELECT * FROM json_populate_record(NULL::persistent_memory, %(row)s);

-- name: import_a2a_tasks
INSERT INTO a2a_tasks SELECT * FROM json_populate_record(NULL::a2a_tasks, %(row)s);

-- name: import_checkpoints
INSERT INTO checkpoints SELECT * FROM json_populate_record(NULL::checkpoints, %(row)s);

-- name: import_checkpoint_blobs
INSERT INTO checkpoint_blobs SELECT * FROM json_populate_record(NULL::checkpoint_blobs, %(row)s);

-- name: import_checkpoint_writes
INSERT INTO checkpoint_writes SELECT * FROM json_populate_record(NULL::checkpoint_writes, %(row)s);
