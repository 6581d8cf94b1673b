-- name: find_callers_thread
SELECT t.thread_id, t.owner_key, t.created_at, t.updated_at, coalesce(m.metadata, '{}') AS metadata
  FROM agent_threads t LEFT JOIN agent_thread_metadata m ON m.thread_id = t.thread_id
 WHERE t.thread_id = %(thread_id)s AND t.caller = %(caller)s
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);

-- name: lock_callers_thread
-- Until the transaction ends no turn of the thread is accepted, and none is deleted with it.
SELECT t.owner_key FROM agent_threads t
 WHERE t.thread_id = %(thread_id)s AND t.caller = %(caller)s
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
   FOR NO KEY UPDATE OF t;

-- name: touch_thread
UPDATE agent_threads SET updated_at = now() WHERE thread_id = %(thread_id)s;

-- name: merge_metadata
-- Nothing is written that is there already: most runs bring what the one before has brought.
INSERT INTO agent_thread_metadata AS m (thread_id, metadata) VALUES (%(thread_id)s, %(metadata)s)
ON CONFLICT (thread_id) DO UPDATE SET metadata = m.metadata || EXCLUDED.metadata
 WHERE NOT m.metadata @> EXCLUDED.metadata;

-- name: search_threads
-- For each key of the agent, so that the index by caller gives a page in its order. `implied` is what is true of a
-- thread that does not say otherwise; planned for these parameters each time, so that the others cost nothing.
SELECT page.* FROM agent_owners o
 CROSS JOIN LATERAL (
       SELECT t.thread_id, t.owner_key, t.created_at, t.updated_at, coalesce(m.metadata, '{}') AS metadata
         FROM agent_threads t LEFT JOIN agent_thread_metadata m ON m.thread_id = t.thread_id
        WHERE t.owner_key = o.owner_key AND t.caller = %(caller)s AND NOT t.is_temporary
          AND (%(ids)s::text[] IS NULL OR t.thread_id = ANY(%(ids)s))
          AND (%(metadata)s::jsonb IS NULL OR m.metadata @> %(metadata)s)
          AND (%(implied)s::jsonb IS NULL OR m.metadata IS NULL OR (%(implied)s || m.metadata) @> %(implied)s)
          AND (%(status)s::text IS NULL OR agent_thread_status(t.thread_id) = %(status)s)
        ORDER BY CASE WHEN %(order)s = 'updated_at desc' THEN t.updated_at END DESC,
                 CASE WHEN %(order)s = 'updated_at asc' THEN t.updated_at END,
                 CASE WHEN %(order)s = 'created_at desc' THEN t.created_at END DESC,
                 CASE WHEN %(order)s = 'created_at asc' THEN t.created_at END,
                 CASE WHEN %(order)s = 'status desc' THEN agent_thread_status(t.thread_id) END DESC,
                 CASE WHEN %(order)s = 'status asc' THEN agent_thread_status(t.thread_id) END,
                 CASE WHEN %(order)s = 'thread_id asc' THEN t.thread_id END,
                 t.thread_id DESC
        LIMIT %(limit)s) AS page
 WHERE o.agent_id = %(agent_id)s
 ORDER BY CASE WHEN %(order)s = 'updated_at desc' THEN page.updated_at END DESC,
          CASE WHEN %(order)s = 'updated_at asc' THEN page.updated_at END,
          CASE WHEN %(order)s = 'created_at desc' THEN page.created_at END DESC,
          CASE WHEN %(order)s = 'created_at asc' THEN page.created_at END,
          CASE WHEN %(order)s = 'status desc' THEN agent_thread_status(page.thread_id) END DESC,
          CASE WHEN %(order)s = 'status asc' THEN agent_thread_status(page.thread_id) END,
          CASE WHEN %(order)s = 'thread_id asc' THEN page.thread_id END,
          page.thread_id DESC
 OFFSET %(offset)s;

-- name: count_matching_threads
SELECT count(*) AS threads
  FROM agent_threads t LEFT JOIN agent_thread_metadata m ON m.thread_id = t.thread_id
 WHERE t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
   AND t.caller = %(caller)s AND NOT t.is_temporary
   AND (%(ids)s::text[] IS NULL OR t.thread_id = ANY(%(ids)s))
   AND (%(metadata)s::jsonb IS NULL OR m.metadata @> %(metadata)s)
   AND (%(implied)s::jsonb IS NULL OR m.metadata IS NULL OR (%(implied)s || m.metadata) @> %(implied)s)
   AND (%(status)s::text IS NULL OR agent_thread_status(t.thread_id) = %(status)s);

-- name: copy_checkpoints
-- The rows of a thread under another id; what they say of themselves names no thread.
WITH blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT %(copy_id)s, checkpoint_ns, channel, version, type, blob
      FROM checkpoint_blobs WHERE thread_id = %(thread_id)s
), writes AS (
    INSERT INTO checkpoint_writes
           (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT %(copy_id)s, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob
      FROM checkpoint_writes WHERE thread_id = %(thread_id)s
)
INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
SELECT %(copy_id)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata
  FROM checkpoints WHERE thread_id = %(thread_id)s;

-- name: mark_temporary
UPDATE agent_threads SET is_temporary = true WHERE thread_id = %(thread_id)s;

-- name: list_temporary_threads
-- Those whose run is over, with a moment for whoever waits for it to read the end; not while it may be asked for again.
SELECT t.thread_id FROM agent_threads t
 WHERE t.is_temporary AND t.updated_at < now() - interval '1 minute'
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
   AND NOT EXISTS (SELECT FROM agent_turns r WHERE r.thread_id = t.thread_id)
   AND NOT EXISTS (SELECT FROM a2a_tasks a WHERE a.thread_id = t.thread_id
                      AND a.status_at > now() - interval '1 minute')
   AND NOT EXISTS (SELECT FROM agent_message_keys k WHERE k.thread_id = t.thread_id)
 ORDER BY t.thread_id LIMIT 200;
