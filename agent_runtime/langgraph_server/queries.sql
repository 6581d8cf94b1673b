-- name: insert_run
-- Its thread is locked, so no number is given twice.
INSERT INTO agent_runs (run_id, thread_id, graph_id, metadata, asked, strategy, webhook, number)
VALUES (%(run_id)s, %(thread_id)s, %(graph_id)s, %(metadata)s, %(asked)s, %(strategy)s, %(webhook)s,
        coalesce((SELECT max(number) FROM agent_runs WHERE thread_id = %(thread_id)s), 0) + 1);

-- name: delay_turn
-- It waits in its place, and so does what comes after it in its thread.
UPDATE agent_turns SET status = 'queued', starts_at = now() + make_interval(secs => %(seconds)s)
 WHERE turn_id = %(turn_id)s;

-- name: list_turn_tasks
SELECT task_id FROM agent_turns WHERE thread_id = %(thread_id)s ORDER BY turn_id;

-- name: append_frames
SELECT append_run_frames(%(turn_id)s, %(attempt)s, %(run_id)s, %(count)s, %(frames)s) AS first_seq;

-- name: end_run
-- In the transaction that ends the turn, or has removed it. Nothing happens to a turn that is no run.
WITH run AS (
    UPDATE agent_runs SET status = %(status)s, error = %(error)s, updated_at = now()
     WHERE run_id = %(run_id)s RETURNING run_id, webhook
), ending AS (
    INSERT INTO agent_run_frames (run_id, first_seq, last_seq, frames)
    SELECT run.run_id, last.seq + 1, last.seq + %(count)s, %(frames)s
      FROM run, LATERAL (SELECT coalesce(max(last_seq), 0) AS seq FROM agent_run_frames f WHERE f.run_id = run.run_id) AS last
    RETURNING first_seq
)
SELECT ending.first_seq, run.webhook FROM run, ending;

-- name: is_run
SELECT EXISTS (SELECT FROM agent_runs WHERE run_id = %(run_id)s) AS is_run;

-- name: read_frames
-- What followed runs have streamed, and whether anybody still works on them. A run that is gone is not in the answer.
SELECT t.task_id, f.first_seq, f.frames,
       EXISTS (SELECT FROM agent_turns r WHERE r.task_id = t.task_id) AS is_live
  FROM unnest(%(run_ids)s::text[], %(seen)s::int[]) AS followed (run_id, seen)
  JOIN a2a_tasks t ON t.task_id = followed.run_id
  LEFT JOIN agent_run_frames f ON f.run_id = t.task_id AND f.last_seq > followed.seen
 ORDER BY t.task_id, f.last_seq;

-- name: find_last_seq
SELECT coalesce(max(last_seq), 0) AS last_seq FROM agent_run_frames WHERE run_id = %(run_id)s;

-- name: prune_frames
-- All of a run at once: what is made of the frames counts from the first one. Whoever asks for a run again, under its
-- key, is shown all of it.
DELETE FROM agent_run_frames f USING agent_runs r
 WHERE r.run_id = f.run_id AND f.created_at < now() - interval '10 minutes'
   AND r.status IS NOT NULL AND r.updated_at < now() - interval '10 minutes'
   AND NOT EXISTS (SELECT FROM agent_message_keys k WHERE k.thread_id = r.thread_id AND k.task_id = r.run_id);

-- name: list_runs_after
-- For all followed threads together, the next runs of which anything is left to be shown. A thread of another caller
-- has none, and a caller who follows a name that is free must not be shown what somebody else then does under it.
SELECT followed.place - 1 AS place, run.run_id, run.number, run.graph_id
  FROM unnest(%(thread_ids)s::text[], %(callers)s::text[], %(numbers)s::int[])
       WITH ORDINALITY AS followed (thread_id, caller, number, place)
  JOIN agent_threads t ON t.thread_id = followed.thread_id AND t.caller = followed.caller
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
 CROSS JOIN LATERAL (
       SELECT r.run_id, r.number, r.graph_id FROM agent_runs r
        WHERE r.thread_id = t.thread_id AND r.number > followed.number
          AND (r.status IS NULL OR EXISTS (SELECT FROM agent_run_frames f WHERE f.run_id = r.run_id))
        ORDER BY r.number LIMIT 20) AS run
 ORDER BY followed.place, run.number;

-- name: find_thread_place
-- Where the streams of a thread stand now: in the first run that is not over, or after the last one.
SELECT r.number, CASE WHEN r.status IS NULL THEN
           (SELECT coalesce(max(last_seq), 0) FROM agent_run_frames f WHERE f.run_id = r.run_id) END AS seen
  FROM agent_runs r WHERE r.thread_id = %(thread_id)s AND r.number IS NOT NULL
 ORDER BY r.status IS NULL DESC, CASE WHEN r.status IS NULL THEN r.number ELSE -r.number END LIMIT 1;

-- name: may_follow
SELECT NOT EXISTS (
    SELECT FROM agent_threads t LEFT JOIN agent_owners o ON o.owner_key = t.owner_key
     WHERE t.thread_id = %(thread_id)s AND (t.caller <> %(caller)s OR o.agent_id IS DISTINCT FROM %(agent_id)s)
) AS may_follow;

-- name: list_runs
-- Every task of the thread is a run, also one that came in over A2A. What a turn works on goes before how it ended.
SELECT * FROM (
    SELECT t.task_id AS run_id, t.thread_id, r.graph_id, r.metadata, r.asked, r.strategy,
           coalesce(r.created_at, t.status_at) AS created_at, greatest(r.updated_at, t.status_at) AS updated_at,
           coalesce((SELECT CASE WHEN w.status = 'queued' THEN 'pending' ELSE 'running' END
                       FROM agent_turns w WHERE w.task_id = t.task_id LIMIT 1),
                    r.status,
                    CASE t.state WHEN 'FAILED' THEN 'error' WHEN 'REJECTED' THEN 'error'
                                 WHEN 'CANCELED' THEN 'interrupted' WHEN 'SUBMITTED' THEN 'pending'
                                 WHEN 'ANSWERED' THEN 'pending' WHEN 'WORKING' THEN 'running'
                                 ELSE 'success' END) AS status
      FROM a2a_tasks t LEFT JOIN agent_runs r ON r.run_id = t.task_id
     WHERE t.thread_id = %(thread_id)s AND t.owner_key = %(owner_key)s
       AND (%(run_id)s::text IS NULL OR t.task_id = %(run_id)s)
    ) AS run
 WHERE %(status)s::text IS NULL OR run.status = %(status)s
 ORDER BY run.created_at DESC, run.run_id DESC
 LIMIT %(limit)s OFFSET %(offset)s;

-- name: find_error
SELECT error FROM agent_runs WHERE run_id = %(run_id)s;

-- name: list_active_runs
SELECT w.thread_id, w.task_id FROM agent_turns w JOIN agent_threads t ON t.thread_id = w.thread_id
 WHERE t.caller = %(caller)s
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
   AND (%(thread_id)s::text IS NULL OR w.thread_id = %(thread_id)s)
   AND CASE w.status WHEN 'queued' THEN 'pending' ELSE 'running' END = ANY(%(statuses)s)
 ORDER BY w.turn_id LIMIT 1000;

-- name: find_last_error
SELECT r.error FROM agent_runs r WHERE r.thread_id = %(thread_id)s ORDER BY r.created_at DESC LIMIT 1;

-- name: delete_run
DELETE FROM agent_runs WHERE run_id = %(run_id)s;

-- name: undo_checkpoints
-- What a turn has written, in every namespace: its checkpoints say whose they are. At the checkpoint that it went on
-- from, a task that had stopped at a question has written an answer, and what it did with that: only the question
-- (-3, as LangGraph counts) stays.
WITH undone AS (
    DELETE FROM checkpoints
     WHERE thread_id = %(thread_id)s AND metadata -> 'turn_id' = to_jsonb(%(turn_id)s::bigint)
    RETURNING checkpoint_ns, checkpoint_id
), latest AS (
    SELECT DISTINCT ON (c.checkpoint_ns) c.checkpoint_ns, c.checkpoint_id
      FROM checkpoints c
     WHERE c.thread_id = %(thread_id)s
       AND (c.metadata -> 'turn_id') IS DISTINCT FROM to_jsonb(%(turn_id)s::bigint)
     ORDER BY c.checkpoint_ns, c.checkpoint_id DESC
)
DELETE FROM checkpoint_writes w
 WHERE w.thread_id = %(thread_id)s
   AND ((w.checkpoint_ns, w.checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM undone)
     OR (w.idx <> -3 AND (w.checkpoint_ns, w.checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM latest)
         AND EXISTS (SELECT FROM checkpoint_writes asked
                      WHERE asked.thread_id = w.thread_id AND asked.checkpoint_ns = w.checkpoint_ns
                        AND asked.checkpoint_id = w.checkpoint_id AND asked.task_id = w.task_id
                        AND asked.idx = -3)));
