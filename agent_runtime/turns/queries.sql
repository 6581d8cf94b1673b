-- name: enqueue_turn
-- Runs at once when nothing else of its thread is in flight. The caller holds the lock on the thread's row, so
-- turn ids of one thread are drawn, and seen, in order of arrival.
INSERT INTO agent_turns (thread_id, task_id, process_id, request, status)
SELECT %(thread_id)s, %(task_id)s, %(process_id)s, %(request)s,
       CASE WHEN EXISTS (SELECT 1 FROM agent_turns WHERE thread_id = %(thread_id)s) THEN 'queued' ELSE 'running' END
RETURNING turn_id, attempt, status;

-- name: list_ready_turns
-- Queued turns of this process that nothing stands before any more.
SELECT turn_id FROM agent_turns AS t
 WHERE process_id = %(process_id)s AND status = 'queued' AND (starts_at IS NULL OR starts_at <= now())
   AND NOT EXISTS (SELECT 1 FROM agent_turns AS e WHERE e.thread_id = t.thread_id AND e.turn_id < t.turn_id)
 ORDER BY turn_id;

-- name: start_turn
UPDATE agent_turns SET status = 'running'
 WHERE turn_id = %(turn_id)s AND attempt = %(attempt)s AND status = 'queued';

-- name: hold_turn
SELECT hold_agent_turn(%(turn_id)s, %(attempt)s);

-- name: store_checkpoints
SELECT store_turn_checkpoints(%(turn_id)s, %(attempt)s, %(takes_answer)s, %(rows)s, %(bytes)s, %(usage)s);

-- name: delete_namespace
WITH blobs AS (
    DELETE FROM checkpoint_blobs
     WHERE thread_id = %(thread_id)s
       AND right('|' || checkpoint_ns, length(%(namespace)s)) = %(namespace)s
), writes AS (
    DELETE FROM checkpoint_writes
     WHERE thread_id = %(thread_id)s
       AND right('|' || checkpoint_ns, length(%(namespace)s)) = %(namespace)s
)
DELETE FROM checkpoints
 WHERE thread_id = %(thread_id)s
   AND right('|' || checkpoint_ns, length(%(namespace)s)) = %(namespace)s;

-- name: delete_turn_of_task
WITH gone AS (
    DELETE FROM agent_turns AS t USING agent_threads AS h
     WHERE t.task_id = %(task_id)s AND h.thread_id = t.thread_id
       AND h.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
    RETURNING t, h.owner_key, h.caller
)
SELECT (t).turn_id, (t).thread_id, (t).task_id, (t).attempt, owner_key, caller,
       record_agent_turn(t, owner_key, caller, '{"state": "cancelled"}') AS recorded
  FROM gone;

-- name: add_usage
UPDATE agent_turns SET usage = usage || %(usage)s::jsonb WHERE turn_id = %(turn_id)s;

-- name: add_usage_to_record
UPDATE agent_turn_records AS r
   SET usage = r.usage || %(usage)s::jsonb,
       (model, model_calls, tool_calls, input_tokens, cached_tokens, output_tokens, cost)
           = (SELECT t.* FROM turn_usage_totals(r.usage || %(usage)s::jsonb) AS t)
 WHERE r.turn_id = %(turn_id)s;

-- name: list_held_turns
-- is_new: its acceptance may still be on its way to the process that asked for it.
SELECT turn_id, accepted_at > now() - interval '5 seconds' AS is_new
  FROM agent_turns WHERE process_id = %(process_id)s;

-- name: take_over_turns
-- Turns of this agent whose process is gone, and turns this process holds without knowing (`lost`: it was
-- told that a commit had failed, and it had not). A process is never dead to itself, however late its lease is:
-- it would run its own turns a second time. Rows that somebody is writing for right now are left for the next
-- round.
WITH orphans AS (
    SELECT t.turn_id, h.owner_key, h.caller
      FROM agent_turns AS t
      JOIN agent_threads AS h ON h.thread_id = t.thread_id
      JOIN agent_owners AS o ON o.owner_key = h.owner_key AND o.agent_id = %(agent_id)s
     WHERE (t.process_id = %(process_id)s AND t.turn_id = ANY(%(lost)s))
        OR (t.process_id <> %(process_id)s AND NOT EXISTS (
               SELECT 1 FROM agent_processes AS p WHERE p.process_id = t.process_id AND p.lease_until > now()
           ))
     ORDER BY t.turn_id
       FOR UPDATE OF t SKIP LOCKED
     LIMIT 100
)
UPDATE agent_turns AS t SET process_id = %(process_id)s, attempt = t.attempt + 1
  FROM orphans WHERE t.turn_id = orphans.turn_id
RETURNING t.turn_id, t.thread_id, t.task_id, t.attempt, t.answered, t.status, t.request,
          CASE t.status WHEN 'running' THEN t.runs ELSE 0 END AS runs,
          orphans.owner_key, orphans.caller;

-- name: count_runs
-- A takeover alone is no run: who waits for a suspect to end was not running when that ended the process.
UPDATE agent_turns AS t SET runs = t.runs + 1
  FROM unnest(%(turn_ids)s::bigint[], %(attempts)s::int[]) AS begun (turn_id, attempt)
 WHERE t.turn_id = begun.turn_id AND t.attempt = begun.attempt;

-- name: renew_lease
INSERT INTO agent_processes (process_id, agent_id, lease_until)
VALUES (%(process_id)s, %(agent_id)s, now() + make_interval(secs => %(seconds)s))
ON CONFLICT (process_id) DO UPDATE SET lease_until = EXCLUDED.lease_until;

-- name: end_lease
DELETE FROM agent_processes WHERE process_id = %(process_id)s;

-- name: forget_old_processes
DELETE FROM agent_processes WHERE lease_until < now() - interval '1 hour';
