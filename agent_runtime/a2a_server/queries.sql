-- name: accept_turn
SELECT turn_id, attempt, queued, owner_key, summary, checkpoint_id, parent_checkpoint_id, checkpoint, metadata,
       channel_values, pending_writes
  FROM accept_agent_turn(
       %(agent_id)s, %(process_id)s, %(thread_id)s, %(caller)s, %(task_id)s, %(request)s, %(task)s, %(running)s,
       %(queued)s, %(status_at)s, %(config_id)s, %(config)s, %(key)s, %(digest)s);

-- name: find_task
-- The task of one caller of one agent, with the events that its snapshot does not hold yet.
SELECT t.task, t.version, t.state, t.thread_id, t.owner_key, t.caller,
       ARRAY(SELECT e.events FROM a2a_task_events AS e
              WHERE e.task_id = t.task_id AND e.version > t.version ORDER BY e.version) AS events
  FROM a2a_tasks AS t
 WHERE t.task_id = %(task_id)s AND t.caller = %(caller)s
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);

-- name: lock_task
-- Apart from the reading: what a statement sees beside the row it waited for is as old as its beginning.
SELECT 1 FROM a2a_tasks WHERE task_id = %(task_id)s AND owner_key = %(owner_key)s FOR UPDATE;

-- name: has_turn
SELECT EXISTS (SELECT 1 FROM agent_turns WHERE task_id = %(task_id)s) AS has_turn;

-- name: append_events
SELECT append_turn_events(
       %(turn_id)s, %(attempt)s, %(task_id)s, %(owner_key)s, %(version)s, %(events)s, %(count)s,
       %(status_at)s) AS pushes;

-- name: end_turn
SELECT end_agent_turn(
       %(turn_id)s, %(attempt)s, %(rows)s, %(bytes)s, %(task_id)s, %(owner_key)s, %(version)s, %(events)s, %(count)s,
       %(task)s, %(state)s, %(status_at)s, %(caller)s, %(report)s) AS pushes;

-- name: keep_answer
-- Of a task that goes: whoever sends its message again is given the same answer.
UPDATE agent_message_keys SET answer = %(answer)s WHERE thread_id = %(thread_id)s AND task_id = %(task_id)s;

-- name: start_task
-- A queued turn must not start while another task of its thread has a pause open, answered or not.
WITH waiting AS (
    SELECT task_id FROM a2a_tasks
     WHERE thread_id = %(thread_id)s AND task_id <> %(task_id)s
       AND state IN ('INPUT_REQUIRED', 'AUTH_REQUIRED', 'ANSWERED') LIMIT 1
), task AS (
    SELECT task_id FROM a2a_tasks AS t
     WHERE task_id = %(task_id)s AND owner_key = %(owner_key)s AND NOT EXISTS (SELECT 1 FROM waiting)
       AND greatest(version, (SELECT max(e.version) FROM a2a_task_events AS e WHERE e.task_id = t.task_id))
           = %(version)s
), started AS (
    UPDATE a2a_tasks SET state = 'WORKING', status_at = %(status_at)s
     WHERE task_id IN (SELECT task_id FROM task)
), appended AS (
    INSERT INTO a2a_task_events (task_id, first_version, version, events)
    SELECT task_id, %(version)s + 1, %(version)s + 1, %(events)s FROM task
)
SELECT (SELECT task_id FROM waiting) AS waiting, EXISTS (SELECT 1 FROM task) AS started,
       EXISTS (SELECT 1 FROM a2a_push_configs WHERE task_id = %(task_id)s) AS pushes;

-- name: store_task
-- A new snapshot together with the event that led to it, only on top of the expected version.
WITH task AS (
    SELECT task_id FROM a2a_tasks AS t
     WHERE task_id = %(task_id)s AND owner_key = %(owner_key)s
       AND greatest(version, (SELECT max(e.version) FROM a2a_task_events AS e WHERE e.task_id = t.task_id))
           = %(version)s
), stored AS (
    UPDATE a2a_tasks
       SET task = %(task)s, state = %(state)s, status_at = %(status_at)s, version = %(version)s + 1
     WHERE task_id IN (SELECT task_id FROM task)
), appended AS (
    INSERT INTO a2a_task_events (task_id, first_version, version, events)
    SELECT task_id, %(version)s + 1, %(version)s + 1, %(events)s FROM task
)
SELECT EXISTS (SELECT 1 FROM a2a_push_configs AS p WHERE p.task_id = task.task_id) AS pushes FROM task;

-- name: list_waiting_tasks
SELECT task_id FROM a2a_tasks
 WHERE thread_id = %(thread_id)s AND state IN ('INPUT_REQUIRED', 'AUTH_REQUIRED') ORDER BY task_id;

-- name: delete_task
DELETE FROM a2a_tasks WHERE task_id = %(task_id)s AND owner_key = %(owner_key)s;

-- name: list_tasks
-- For each owner that the agent has been: so the index by caller gives a page in its order, and reads nothing else.
-- The page ends where its tasks would be more bytes than it may have, but has one at least. The length of a value is
-- known without reading it.
WITH page AS (
SELECT t.task_id, t.task, t.version, t.state, t.thread_id, t.owner_key, t.caller, t.status_at,
       count(*) OVER () AS found, row_number() OVER in_order AS place,
       sum(octet_length(t.task)
           + (SELECT coalesce(sum(octet_length(e.events)), 0) FROM a2a_task_events AS e
               WHERE e.task_id = t.task_id AND e.version > t.version)) OVER in_order AS bytes
  FROM agent_owners AS o
 CROSS JOIN LATERAL (
       SELECT * FROM a2a_tasks AS a
        WHERE a.owner_key = o.owner_key AND a.caller = %(caller)s
          AND (%(thread_id)s::text IS NULL OR a.thread_id = %(thread_id)s)
          AND (%(states)s::text[] IS NULL OR a.state = ANY(%(states)s))
          AND (%(since)s::timestamptz IS NULL OR a.status_at >= %(since)s)
          AND (%(after_at)s::timestamptz IS NULL OR (a.status_at, a.task_id) < (%(after_at)s, %(after_id)s))
        ORDER BY a.status_at DESC, a.task_id DESC
        LIMIT %(limit)s + 1) AS t
 WHERE o.agent_id = %(agent_id)s
WINDOW in_order AS (ORDER BY t.status_at DESC, t.task_id DESC)
 ORDER BY t.status_at DESC, t.task_id DESC
 LIMIT %(limit)s + 1
)
SELECT t.task_id, t.task, t.version, t.state, t.thread_id, t.owner_key, t.caller, t.status_at, t.found,
       ARRAY(SELECT e.events FROM a2a_task_events AS e
              WHERE e.task_id = t.task_id AND e.version > t.version ORDER BY e.version) AS events
  FROM page AS t
 WHERE t.place <= %(limit)s AND (t.place = 1 OR t.bytes <= %(bytes)s)
 ORDER BY t.status_at DESC, t.task_id DESC;

-- name: count_tasks
SELECT count(*) AS total FROM a2a_tasks AS t
 WHERE t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
   AND t.caller = %(caller)s
   AND (%(thread_id)s::text IS NULL OR t.thread_id = %(thread_id)s)
   AND (%(states)s::text[] IS NULL OR t.state = ANY(%(states)s))
   AND (%(since)s::timestamptz IS NULL OR t.status_at >= %(since)s);

-- name: read_events
-- What happened to the followed tasks after the versions their followers have seen; they may have seen the first
-- events of a row. A task without events has one row with nulls; a task that is gone has none.
SELECT t.task_id, t.version AS stored_version, followed.version AS seen, e.first_version, e.events
  FROM unnest(%(task_ids)s::text[], %(versions)s::int[]) AS followed (task_id, version)
  JOIN a2a_tasks AS t ON t.task_id = followed.task_id
  LEFT JOIN a2a_task_events AS e ON e.task_id = t.task_id AND e.version > followed.version
 ORDER BY t.task_id, e.version;

-- name: read_task
-- For those whose right to the task is beyond doubt: its writers, and followers, who were checked before.
SELECT t.task, t.version, t.state, t.thread_id, t.owner_key, t.caller,
       ARRAY(SELECT e.events FROM a2a_task_events AS e
              WHERE e.task_id = t.task_id AND e.version > t.version ORDER BY e.version) AS events
  FROM a2a_tasks AS t WHERE t.task_id = %(task_id)s;

-- name: prune_events
-- Events that a snapshot holds are kept only for those who were following when they happened.
DELETE FROM a2a_task_events AS e USING a2a_tasks AS t
 WHERE t.task_id = e.task_id AND e.version <= t.version AND e.created_at < now() - interval '10 minutes';

-- name: lock_task_of_caller
-- It waits for a deletion of the task, and finds nothing afterwards; configs of one task are added one after the other.
SELECT task_id FROM a2a_tasks
 WHERE task_id = %(task_id)s AND caller = %(caller)s
   AND owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
   FOR NO KEY UPDATE;

-- name: count_other_push_configs
-- A statement of its own: within the one that waits for the lock it would count what was there before.
SELECT count(*) AS others FROM a2a_push_configs WHERE task_id = %(task_id)s AND config_id <> %(config_id)s;

-- name: add_push_config
-- For the holder of the task's row, or turn.
INSERT INTO a2a_push_configs (task_id, config_id, config) VALUES (%(task_id)s, %(config_id)s, %(config)s)
ON CONFLICT (task_id, config_id) DO UPDATE SET config = EXCLUDED.config;

-- name: list_push_configs
SELECT config FROM a2a_push_configs WHERE task_id = %(task_id)s ORDER BY config_id LIMIT %(limit)s;

-- name: delete_push_config
DELETE FROM a2a_push_configs WHERE task_id = %(task_id)s AND config_id = %(config_id)s;

-- name: list_open_questions
-- Of whichever caller, the one that waits longest first. The states stand here as they do in the index. The page ends
-- where its tasks would be more bytes than it may have, but has one at least.
WITH page AS (
SELECT t.task_id, t.task, t.version, t.state, t.thread_id, t.owner_key, t.caller, t.status_at,
       count(*) OVER () AS found, row_number() OVER in_order AS place,
       sum(octet_length(t.task)) OVER in_order AS bytes
  FROM agent_owners AS o
 CROSS JOIN LATERAL (
       SELECT * FROM a2a_tasks AS a
        WHERE a.owner_key = o.owner_key AND a.state IN ('INPUT_REQUIRED', 'AUTH_REQUIRED')
          AND (%(after_at)s::timestamptz IS NULL OR (a.status_at, a.task_id) > (%(after_at)s, %(after_id)s))
        ORDER BY a.status_at, a.task_id
        LIMIT %(limit)s + 1) AS t
 WHERE o.agent_id = %(agent_id)s
WINDOW in_order AS (ORDER BY t.status_at, t.task_id)
 ORDER BY t.status_at, t.task_id
 LIMIT %(limit)s + 1
)
SELECT t.task_id, t.task, t.version, t.state, t.thread_id, t.owner_key, t.caller, t.status_at, t.found,
       ARRAY(SELECT e.events FROM a2a_task_events AS e
              WHERE e.task_id = t.task_id AND e.version > t.version ORDER BY e.version) AS events
  FROM page AS t
 WHERE t.place <= %(limit)s AND (t.place = 1 OR t.bytes <= %(bytes)s)
 ORDER BY t.status_at, t.task_id;

-- name: list_open_keys
-- Read in an index alone, every second: which task has asked when, the one that asked last first.
SELECT t.task_id, t.status_at
  FROM agent_owners AS o
 CROSS JOIN LATERAL (
       SELECT a.task_id, a.status_at FROM a2a_tasks AS a
        WHERE a.owner_key = o.owner_key AND a.state IN ('INPUT_REQUIRED', 'AUTH_REQUIRED')
        ORDER BY a.status_at DESC, a.task_id DESC
        LIMIT %(limit)s + 1) AS t
 WHERE o.agent_id = %(agent_id)s
 ORDER BY t.status_at DESC, t.task_id DESC
 LIMIT %(limit)s + 1;

-- name: read_clock
SELECT clock_timestamp() AS now;

-- name: find_task_of_any_caller
-- For the operator, who may answer in place of the caller.
SELECT t.task, t.version, t.state, t.thread_id, t.owner_key, t.caller, t.answered_by, t.status_at,
       ARRAY(SELECT e.events FROM a2a_task_events AS e
              WHERE e.task_id = t.task_id AND e.version > t.version ORDER BY e.version) AS events
  FROM a2a_tasks AS t
 WHERE t.task_id = %(task_id)s
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);

-- name: note_answerer
-- In the transaction that takes the answer, so whoever comes later is told whose it was.
UPDATE a2a_tasks SET answered_by = %(answered_by)s WHERE task_id = %(task_id)s;
