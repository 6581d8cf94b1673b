-- name: create_erasure
INSERT INTO erasures (erasure_id, tenant_id, caller, thread_ids, subject_hash)
VALUES (%(erasure_id)s, %(tenant_id)s, %(caller)s, %(thread_ids)s, %(subject_hash)s);

-- name: ask_agents
-- Every agent there is now, whatever its status and whether it lives.
INSERT INTO erasure_agents (erasure_id, tenant_id, agent_id, asks_itself)
SELECT %(erasure_id)s, tenant_id, agent_id, has_instances FROM agents WHERE tenant_id = %(tenant_id)s;

-- name: list_agent_ids
SELECT agent_id FROM agents WHERE tenant_id = %(tenant_id)s ORDER BY agent_id;

-- name: list_erasures
SELECT erasure_id, tenant_id, position, subject_hash, rows, registry_done_at, completed_at, created_at
  FROM erasures
 WHERE tenant_id = %(tenant_id)s AND (%(before)s::bigint IS NULL OR position < %(before)s)
 ORDER BY position DESC LIMIT %(limit)s;

-- name: find_erasure
SELECT erasure_id, tenant_id, position, subject_hash, rows, registry_done_at, completed_at, created_at
  FROM erasures WHERE erasure_id = %(erasure_id)s AND tenant_id = %(tenant_id)s;

-- name: list_asked_agents
SELECT erasure_id, agent_id, asks_itself, attempts, last_error, rows, peers, answered_at
  FROM erasure_agents WHERE erasure_id = ANY(%(erasure_ids)s) ORDER BY erasure_id, agent_id;

-- name: take_work
-- Whoever holds the row does the next step of it.
SELECT erasure_id, tenant_id, caller, thread_ids, execution_ids FROM erasures
 WHERE registry_done_at IS NULL AND erasure_id <> ALL (%(but)s::uuid[])
 ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: list_executions
-- Those that the caller's name is in the input of, those that are named, and what these have started. Older ones come
-- first: whoever locks several does it in that order.
SELECT execution_id FROM executions
 WHERE tenant_id = %(tenant_id)s AND execution_id <> ALL (%(found)s::uuid[])
   AND (initial_input ->> 'caller' = %(caller)s OR execution_id = ANY(%(named)s::uuid[])
        OR parent_execution_id = ANY(%(found)s::uuid[]))
 ORDER BY position LIMIT %(limit)s;

-- name: lock_executions
-- First, so that no worker writes another checkpoint meanwhile.
SELECT execution_id FROM executions WHERE execution_id = ANY(%(ids)s) ORDER BY position FOR UPDATE;

-- name: count_artifacts
-- An execution refers to an artifact by its hash, in its state or in an event.
SELECT count(*) AS rows FROM artifacts WHERE tenant_id = %(tenant_id)s AND hash IN (
    SELECT decode(name[1], 'hex')
      FROM (SELECT state::text AS said FROM executions WHERE execution_id = ANY(%(ids)s)
             UNION ALL SELECT initial_input::text FROM executions WHERE execution_id = ANY(%(ids)s)
             UNION ALL SELECT data::text FROM execution_events WHERE execution_id = ANY(%(ids)s)) AS all_said
     CROSS JOIN LATERAL regexp_matches(all_said.said, '\m([0-9a-f]{64})\M', 'g') AS name);

-- name: erase_artifacts
DELETE FROM artifacts WHERE tenant_id = %(tenant_id)s AND hash IN (
    SELECT decode(name[1], 'hex')
      FROM (SELECT state::text AS said FROM executions WHERE execution_id = ANY(%(ids)s)
             UNION ALL SELECT initial_input::text FROM executions WHERE execution_id = ANY(%(ids)s)
             UNION ALL SELECT data::text FROM execution_events WHERE execution_id = ANY(%(ids)s)) AS all_said
     CROSS JOIN LATERAL regexp_matches(all_said.said, '\m([0-9a-f]{64})\M', 'g') AS name);

-- name: count_checkpoint_writes
SELECT count(*) AS rows FROM checkpoint_writes WHERE thread_id = ANY(%(threads)s);

-- name: erase_checkpoint_writes
DELETE FROM checkpoint_writes WHERE thread_id = ANY(%(threads)s);

-- name: count_checkpoint_blobs
SELECT count(*) AS rows FROM checkpoint_blobs WHERE thread_id = ANY(%(threads)s);

-- name: erase_checkpoint_blobs
DELETE FROM checkpoint_blobs WHERE thread_id = ANY(%(threads)s);

-- name: count_checkpoints
SELECT count(*) AS rows FROM checkpoints WHERE thread_id = ANY(%(threads)s);

-- name: erase_checkpoints
DELETE FROM checkpoints WHERE thread_id = ANY(%(threads)s);

-- name: count_work_items
SELECT count(*) AS rows FROM work_items
 WHERE work_item_id IN (SELECT wait_id FROM execution_waits WHERE execution_id = ANY(%(ids)s));

-- name: erase_work_items
DELETE FROM work_items
 WHERE work_item_id IN (SELECT wait_id FROM execution_waits WHERE execution_id = ANY(%(ids)s));

-- name: count_kept_events
SELECT count(*) AS rows FROM kept_events WHERE execution_id = ANY(%(ids)s);

-- name: erase_kept_events
DELETE FROM kept_events WHERE execution_id = ANY(%(ids)s);

-- name: count_request_keys
SELECT count(*) AS rows FROM request_keys WHERE execution_id = ANY(%(ids)s);

-- name: erase_request_keys
DELETE FROM request_keys WHERE execution_id = ANY(%(ids)s);

-- name: count_execution_signals
SELECT count(*) AS rows FROM execution_signals WHERE execution_id = ANY(%(ids)s);

-- name: erase_execution_signals
DELETE FROM execution_signals WHERE execution_id = ANY(%(ids)s);

-- name: count_execution_waits
SELECT count(*) AS rows FROM execution_waits WHERE execution_id = ANY(%(ids)s);

-- name: erase_execution_waits
DELETE FROM execution_waits WHERE execution_id = ANY(%(ids)s);

-- name: count_execution_events
SELECT count(*) AS rows FROM execution_events WHERE execution_id = ANY(%(ids)s);

-- name: erase_execution_events
DELETE FROM execution_events WHERE execution_id = ANY(%(ids)s);

-- name: count_executions
SELECT count(*) AS rows FROM executions WHERE execution_id = ANY(%(ids)s);

-- name: erase_executions
DELETE FROM executions WHERE execution_id = ANY(%(ids)s);

-- name: note_work
UPDATE erasures
   SET rows = %(rows)s || (SELECT coalesce(jsonb_object_agg(key, value::bigint + coalesce((%(rows)s ->> key)::bigint, 0)), '{}')
                             FROM jsonb_each_text(rows)),
       execution_ids = execution_ids || %(ids)s::uuid[],
       registry_done_at = CASE WHEN %(done)s THEN now() END
 WHERE erasure_id = %(erasure_id)s;

-- name: claim_orders
-- One process of the agent at a time; should it end before it answers, another one gets the order a minute later.
UPDATE erasure_agents a SET claimed_until = now() + interval '1 minute', attempts = attempts + 1
  FROM (SELECT w.erasure_id, w.agent_id FROM erasure_agents w JOIN erasures e USING (erasure_id)
         WHERE w.tenant_id = %(tenant_id)s AND w.agent_id = %(agent_id)s AND w.answered_at IS NULL
           AND (w.claimed_until IS NULL OR w.claimed_until < now()) AND e.registry_done_at IS NOT NULL
         ORDER BY e.position LIMIT 10 FOR UPDATE OF w SKIP LOCKED) AS due
  JOIN erasures e USING (erasure_id)
 WHERE a.erasure_id = due.erasure_id AND a.agent_id = due.agent_id
RETURNING a.erasure_id, a.part, e.caller, e.thread_ids,
          e.execution_ids[a.part * %(per_part)s + 1 : (a.part + 1) * %(per_part)s] AS execution_ids;

-- name: list_places
-- Where the agent is asked: a conversation of an execution with it is named after both.
SELECT uri AS place FROM agents WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s
 UNION
SELECT url #>> '{}' FROM agents CROSS JOIN LATERAL jsonb_path_query(card, '$.**.url') AS url
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s AND jsonb_typeof(url) = 'string';

-- name: lock_asked_agent
SELECT a.part, a.answered_at IS NOT NULL AS has_answered, cardinality(e.execution_ids) AS executions
  FROM erasure_agents a JOIN erasures e USING (erasure_id)
 WHERE a.erasure_id = %(erasure_id)s AND a.agent_id = %(agent_id)s AND e.tenant_id = %(tenant_id)s
   AND e.registry_done_at IS NOT NULL
   FOR UPDATE OF a;

-- name: note_failure
UPDATE erasure_agents SET last_error = %(error)s, claimed_until = now() + interval '5 seconds'
 WHERE erasure_id = %(erasure_id)s AND agent_id = %(agent_id)s;

-- name: note_receipt
UPDATE erasure_agents
   SET rows = %(rows)s || (SELECT coalesce(jsonb_object_agg(key, value::bigint + coalesce((%(rows)s ->> key)::bigint, 0)), '{}')
                             FROM jsonb_each_text(rows)),
       peers = (SELECT coalesce(jsonb_agg(DISTINCT peer), '[]')
                  FROM jsonb_array_elements(peers || %(peers)s) AS peer),
       part = part + 1, claimed_until = NULL, last_error = NULL,
       answered_at = CASE WHEN %(last)s THEN now() END
 WHERE erasure_id = %(erasure_id)s AND agent_id = %(agent_id)s;

-- name: lock_erasure
SELECT erasure_id FROM erasures WHERE erasure_id = %(erasure_id)s FOR UPDATE;

-- name: erase_questions
-- What agents have asked the caller, as far as the registry knows; agents have answered, and ask it no more.
DELETE FROM questions q USING erasures e
 WHERE e.erasure_id = %(erasure_id)s AND q.tenant_id = e.tenant_id AND q.execution_id IS NULL
   AND (q.caller = e.caller OR q.thread_id = ANY (e.thread_ids));

-- name: complete_erasure
-- The name and the ids are no longer needed, and would be the last that is left of the person.
UPDATE erasures e SET completed_at = now(), caller = NULL, thread_ids = '{}', execution_ids = '{}'
 WHERE erasure_id = %(erasure_id)s AND registry_done_at IS NOT NULL AND completed_at IS NULL
   AND NOT EXISTS (SELECT FROM erasure_agents a WHERE a.erasure_id = e.erasure_id AND a.answered_at IS NULL)
RETURNING tenant_id;
