-- name: ensure_owner_key
SELECT ensure_agent_owner(%(agent_id)s) AS owner_key;

-- name: claim_thread
SELECT owner_key, agent_id, caller, summary, created, had_checkpoints
  FROM claim_agent_thread(%(agent_id)s, %(thread_id)s, %(caller)s);

-- name: find_owner
SELECT o.agent_id FROM agent_threads t JOIN agent_owners o USING (owner_key) WHERE t.thread_id = %(thread_id)s;

-- name: list_threads
-- One short walk along the covering index per key of the agent, however many threads there are.
SELECT page.position, page.thread_id
  FROM agent_owners o
 CROSS JOIN LATERAL (
       SELECT t.position, t.thread_id FROM agent_threads t
        WHERE t.owner_key = o.owner_key AND t.position > %(after)s
        ORDER BY t.position LIMIT %(limit)s
       ) AS page
 WHERE o.agent_id = %(agent_id)s
 ORDER BY page.position LIMIT %(limit)s;

-- name: list_threads_of_caller
SELECT page.position, page.thread_id
  FROM agent_owners o
 CROSS JOIN LATERAL (
       SELECT t.position, t.thread_id FROM agent_threads t
        WHERE t.caller = %(caller)s AND t.caller <> '' AND t.owner_key = o.owner_key AND t.position > %(after)s
        ORDER BY t.position LIMIT %(limit)s
       ) AS page
 WHERE o.agent_id = %(agent_id)s
 ORDER BY page.position LIMIT %(limit)s;

-- name: list_steps
-- Checkpoints of the root graph, newest first. Without their values, which grow with the conversation.
SELECT c.checkpoint_id, c.parent_checkpoint_id AS parent_id, c.metadata, c.checkpoint ->> 'ts' AS created_at,
       c.checkpoint -> 'versions_seen' AS versions_seen,
       ARRAY(SELECT jsonb_object_keys(c.checkpoint -> 'channel_values')) AS inline_channels
  FROM checkpoints c
 WHERE c.thread_id = %(thread_id)s AND c.checkpoint_ns = ''
   AND (%(before)s::text IS NULL OR c.checkpoint_id < %(before)s)
 ORDER BY c.checkpoint_id DESC LIMIT %(limit)s;

-- name: list_step_writes
-- What the nodes of these steps have written; a value that is too long to be shown is left where it is.
SELECT w.checkpoint_id, w.channel, w.type, length(w.blob) AS size,
       CASE WHEN length(w.blob) <= %(longest)s THEN w.blob END AS blob
  FROM checkpoint_writes w
 WHERE w.thread_id = %(thread_id)s AND w.checkpoint_ns = '' AND w.checkpoint_id = ANY(%(checkpoint_ids)s)
 ORDER BY w.checkpoint_id, w.task_path, w.task_id, w.idx;

-- name: list_states
SELECT t.thread_id, agent_thread_status(t.thread_id) AS state
  FROM agent_threads t WHERE t.thread_id = ANY(%(thread_ids)s)
 ORDER BY array_position(%(thread_ids)s::text[], t.thread_id::text);

-- name: find_last_position
SELECT newest.position
  FROM agent_owners o
 CROSS JOIN LATERAL (
       SELECT t.position FROM agent_threads t WHERE t.owner_key = o.owner_key ORDER BY t.position DESC LIMIT 1
       ) AS newest
 WHERE o.agent_id = %(agent_id)s
 ORDER BY newest.position DESC LIMIT 1;

-- name: find_latest_messages
-- One channel of the latest checkpoint of the root graph; LangGraph's checkpoint ids sort by time. A thread
-- that has no checkpoint yet answers with a row of nulls.
SELECT latest.checkpoint_id, latest.version, latest.is_inline, latest.inline_value, b.type, b.blob
  FROM agent_threads t
  LEFT JOIN LATERAL (
       SELECT c.checkpoint_id,
              c.checkpoint -> 'channel_versions' ->> 'messages' AS version,
              c.checkpoint -> 'channel_values' ? 'messages' AS is_inline,
              c.checkpoint -> 'channel_values' -> 'messages' AS inline_value
         FROM checkpoints c
        WHERE c.thread_id = %(thread_id)s AND c.checkpoint_ns = ''
        ORDER BY c.checkpoint_id DESC LIMIT 1
       ) AS latest ON true
  LEFT JOIN checkpoint_blobs b
    ON b.thread_id = %(thread_id)s AND b.checkpoint_ns = ''
   AND b.channel = 'messages' AND b.version = latest.version AND b.type <> 'empty'
 WHERE t.thread_id = %(thread_id)s
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);

-- name: read_one_snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: hold_owner_keys
-- Keeps the agent's threads the agent's until the transaction ends: a change of its id waits.
SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s ORDER BY owner_key FOR KEY SHARE;

-- name: lock_threads
-- In the order of their ids, so that two deletions cannot wait for each other.
SELECT t.thread_id FROM agent_threads t
 WHERE t.thread_id = ANY(%(thread_ids)s)
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
 ORDER BY t.thread_id FOR UPDATE;

-- name: erase_agent_turns
-- Waits for the transaction that a turn is writing in; every later one of that turn fails.
DELETE FROM agent_turns WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_agent_turn_records
-- After the turns, whose ends add to them.
DELETE FROM agent_turn_records WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_agent_message_keys
DELETE FROM agent_message_keys WHERE thread_id = ANY(%(thread_ids)s);

-- name: lock_a2a_tasks
-- Before what hangs off them, so that nothing can be added to a task between its deletion and that of the rest.
SELECT task_id FROM a2a_tasks WHERE thread_id = ANY(%(thread_ids)s) ORDER BY task_id FOR UPDATE;

-- name: erase_agent_run_frames
DELETE FROM agent_run_frames
 WHERE run_id IN (SELECT run_id FROM agent_runs WHERE thread_id = ANY(%(thread_ids)s));

-- name: erase_agent_runs
DELETE FROM agent_runs WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_agent_peer_tasks
DELETE FROM agent_peer_tasks WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_a2a_push_configs
DELETE FROM a2a_push_configs
 WHERE task_id IN (SELECT task_id FROM a2a_tasks WHERE thread_id = ANY(%(thread_ids)s));

-- name: erase_a2a_task_events
DELETE FROM a2a_task_events
 WHERE task_id IN (SELECT task_id FROM a2a_tasks WHERE thread_id = ANY(%(thread_ids)s));

-- name: erase_a2a_tasks
DELETE FROM a2a_tasks WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_persistent_memory
DELETE FROM persistent_memory WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_agent_thread_metadata
DELETE FROM agent_thread_metadata WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_checkpoint_writes
DELETE FROM checkpoint_writes WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_checkpoint_blobs
DELETE FROM checkpoint_blobs WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_checkpoints
DELETE FROM checkpoints WHERE thread_id = ANY(%(thread_ids)s);

-- name: erase_agent_threads
DELETE FROM agent_threads
 WHERE thread_id = ANY(%(thread_ids)s)
   AND owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);

-- name: count_agent_turns
-- Each count_… says what its erase_… would remove; a test compares them.
SELECT count(*) AS rows FROM agent_turns WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_agent_turn_records
SELECT count(*) AS rows FROM agent_turn_records WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_agent_run_frames
SELECT count(*) AS rows FROM agent_run_frames f JOIN agent_runs r ON r.run_id = f.run_id
 WHERE r.thread_id = ANY(%(thread_ids)s);

-- name: count_agent_runs
SELECT count(*) AS rows FROM agent_runs WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_agent_thread_metadata
SELECT count(*) AS rows FROM agent_thread_metadata WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_agent_message_keys
SELECT count(*) AS rows FROM agent_message_keys WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_agent_peer_tasks
SELECT count(*) AS rows FROM agent_peer_tasks WHERE thread_id = ANY(%(thread_ids)s);

-- name: note_peer_task
-- The reference to the thread waits for an erasure that is under way, and fails after it.
INSERT INTO agent_peer_tasks (thread_id, peer, context_id, task_id)
VALUES (%(thread_id)s, %(peer)s, %(context_id)s, %(task_id)s)
ON CONFLICT DO NOTHING;

-- name: forget_peer_task
DELETE FROM agent_peer_tasks
 WHERE thread_id = %(thread_id)s AND peer = %(peer)s AND task_id = %(task_id)s AND task_id <> '';

-- name: list_peer_tasks
-- The peers themselves first: they are named, even where there is too much to tell them.
SELECT DISTINCT peer, context_id, task_id FROM agent_peer_tasks WHERE thread_id = ANY(%(thread_ids)s)
 ORDER BY task_id, context_id, peer LIMIT %(limit)s;

-- name: count_a2a_push_configs
SELECT count(*) AS rows FROM a2a_push_configs
 WHERE task_id IN (SELECT task_id FROM a2a_tasks WHERE thread_id = ANY(%(thread_ids)s));

-- name: count_a2a_task_events
SELECT count(*) AS rows FROM a2a_task_events
 WHERE task_id IN (SELECT task_id FROM a2a_tasks WHERE thread_id = ANY(%(thread_ids)s));

-- name: count_a2a_tasks
SELECT count(*) AS rows FROM a2a_tasks WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_persistent_memory
SELECT count(*) AS rows FROM persistent_memory WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_checkpoint_writes
SELECT count(*) AS rows FROM checkpoint_writes WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_checkpoint_blobs
SELECT count(*) AS rows FROM checkpoint_blobs WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_checkpoints
SELECT count(*) AS rows FROM checkpoints WHERE thread_id = ANY(%(thread_ids)s);

-- name: count_agent_threads
SELECT count(*) AS rows FROM agent_threads
 WHERE thread_id = ANY(%(thread_ids)s)
   AND owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);

-- name: find_live_process
SELECT process_id FROM agent_processes
 WHERE agent_id = %(agent_id)s AND lease_until > now() AND process_id IS DISTINCT FROM %(process_id)s::uuid
 LIMIT 1;

-- name: lock_owner_keys
-- FOR UPDATE, though the update needs less: it is what waits for the claims and deletions that hold the keys
-- FOR KEY SHARE, so that no thread comes to be under a key that has a new owner already.
SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s ORDER BY owner_key FOR UPDATE;

-- name: count_threads_of_keys
-- Not while the keys are locked: a million threads take a tenth of a second, and turns would wait.
SELECT count(*) AS threads FROM agent_threads
 WHERE owner_key = ANY(%(owner_keys)s) AND position <= %(last_position)s;

-- name: move_owner_keys
UPDATE agent_owners SET agent_id = %(new_id)s WHERE owner_key = ANY(%(owner_keys)s);

-- name: list_unowned_threads
-- Threads of other LangGraph programs. The collation is that of the index on agent_threads.
SELECT c.thread_id, min(c.checkpoint_id) AS first_checkpoint_id
  FROM checkpoints c
 WHERE c.thread_id > %(after)s AND starts_with(c.thread_id, %(prefix)s)
   AND NOT EXISTS (SELECT FROM agent_threads t WHERE t.thread_id = c.thread_id COLLATE "C")
 GROUP BY c.thread_id ORDER BY c.thread_id LIMIT %(limit)s;

-- name: adopt_unowned_threads
INSERT INTO agent_threads (thread_id, owner_key)
SELECT given.thread_id, %(owner_key)s
  FROM unnest(%(thread_ids)s::text[]) WITH ORDINALITY AS given (thread_id, place)
 ORDER BY given.place
    ON CONFLICT (thread_id) DO NOTHING;

-- name: list_unnamed_threads
-- Threads of an agent that ran without an AGENT_ID.
SELECT t.thread_id
  FROM agent_threads t
 WHERE t.thread_id > %(after)s AND starts_with(t.thread_id, %(prefix)s)
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = '')
 ORDER BY t.thread_id LIMIT %(limit)s;

-- name: rekey_agent_threads
UPDATE agent_threads SET owner_key = %(owner_key)s WHERE thread_id = ANY(%(thread_ids)s);

-- name: rekey_persistent_memory
UPDATE persistent_memory SET owner_key = %(owner_key)s WHERE thread_id = ANY(%(thread_ids)s);

-- name: rekey_a2a_tasks
UPDATE a2a_tasks SET owner_key = %(owner_key)s WHERE thread_id = ANY(%(thread_ids)s);

-- name: rekey_agent_turn_records
UPDATE agent_turn_records SET owner_key = %(owner_key)s WHERE thread_id = ANY(%(thread_ids)s);

-- name: list_orphans
-- Threads of which only the parts of checkpoints are left: no checkpoint refers to them and nobody owns them.
SELECT debris.thread_id
  FROM (SELECT thread_id FROM checkpoint_blobs UNION SELECT thread_id FROM checkpoint_writes) AS debris
 WHERE debris.thread_id > %(after)s
   AND NOT EXISTS (SELECT FROM checkpoints c WHERE c.thread_id = debris.thread_id)
   AND NOT EXISTS (SELECT FROM agent_threads t WHERE t.thread_id = debris.thread_id COLLATE "C")
 ORDER BY debris.thread_id LIMIT %(limit)s;

-- name: count_orphans
SELECT (SELECT count(*) FROM checkpoint_blobs WHERE thread_id = ANY(%(thread_ids)s)) AS checkpoint_blobs,
       (SELECT count(*) FROM checkpoint_writes WHERE thread_id = ANY(%(thread_ids)s)) AS checkpoint_writes;

-- name: sweep_checkpoint_blobs
DELETE FROM checkpoint_blobs b
 WHERE b.thread_id = ANY(%(thread_ids)s)
   AND NOT EXISTS (SELECT FROM checkpoints c WHERE c.thread_id = b.thread_id)
   AND NOT EXISTS (SELECT FROM agent_threads t WHERE t.thread_id = b.thread_id COLLATE "C");

-- name: sweep_checkpoint_writes
DELETE FROM checkpoint_writes w
 WHERE w.thread_id = ANY(%(thread_ids)s)
   AND NOT EXISTS (SELECT FROM checkpoints c WHERE c.thread_id = w.thread_id)
   AND NOT EXISTS (SELECT FROM agent_threads t WHERE t.thread_id = w.thread_id COLLATE "C");

-- name: keep_graph
-- The graph that has answered in a thread last; before any has, the one that does now. Of a thread that is gone, none.
INSERT INTO agent_thread_metadata AS m (thread_id, metadata)
SELECT thread_id, %(names)s FROM agent_threads WHERE thread_id = %(thread_id)s
ON CONFLICT (thread_id) DO UPDATE SET metadata = EXCLUDED.metadata || m.metadata
RETURNING m.metadata ->> 'graph_id' AS graph_id;

-- name: find_graph
SELECT metadata ->> 'graph_id' AS graph_id FROM agent_thread_metadata WHERE thread_id = %(thread_id)s;

-- name: sample_threads
-- Drawn at random: the oldest and the newest say least about the rest. A sort of ids, for somebody at a terminal.
SELECT thread_id
  FROM agent_threads
 WHERE owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
 ORDER BY random()
 LIMIT %(limit)s;

-- name: find_last_step
-- Of the thread's own graph, not of those inside.
SELECT (metadata ->> 'step')::int AS step
  FROM checkpoints
 WHERE thread_id = %(thread_id)s AND checkpoint_ns = ''
 ORDER BY checkpoint_id DESC
 LIMIT 1;
