-- name: take_up
-- Whoever had it before can write no more. One that another execution has begun is taken up only by who has locked
-- those above it: their status may depend on it. A worker that has left its row behind, or does not move any more, was
-- lost over the execution: one that ends in order takes its row along.
UPDATE executions
   SET fence = fence + 1, driver = %(driver)s,
       lost_workers = lost_workers + CASE WHEN before.previous_driver <> %(driver)s AND EXISTS (
           SELECT FROM workers w WHERE w.tenant_id IS NULL AND w.worker_id = before.previous_driver) THEN 1 ELSE 0 END,
       updated_at = now(), started_at = coalesce(started_at, now()),
       status = 'running'
  FROM (SELECT driver AS previous_driver, status AS previous_status FROM executions
         WHERE execution_id = %(execution_id)s AND (parent_execution_id IS NULL OR %(above_locked)s)
           FOR UPDATE) AS before
 WHERE execution_id = %(execution_id)s AND status IN ('pending', 'running', 'paused')
RETURNING tenant_id, revision_id, fence, state, initial_input, before.previous_driver, before.previous_status,
          cost_usd, tokens_used, deadline_at <= now() AS overdue, workflow_id, workflow_version, parent_execution_id,
          lost_workers, steps_executed, bytes_written;

-- name: lock_above
-- Those that it was begun by, from the outermost on: everybody locks an execution before those that it has begun.
WITH RECURSIVE line AS (
    SELECT parent_execution_id AS execution_id, 1 AS height FROM executions WHERE execution_id = %(execution_id)s
     UNION ALL
    SELECT e.parent_execution_id, line.height + 1 FROM executions e JOIN line USING (execution_id)
)
SELECT e.execution_id FROM executions e JOIN line USING (execution_id) ORDER BY line.height DESC FOR UPDATE OF e;

-- name: hold
-- Keeps the execution this worker's until the transaction ends; no row when it no longer is.
UPDATE executions SET updated_at = now()
 WHERE execution_id = %(execution_id)s AND fence = %(fence)s AND status = 'running'
RETURNING execution_id;

-- name: record_step
SELECT record_execution_step(
           %(execution_id)s, %(fence)s, %(events)s, %(signals)s, %(state)s, %(patch)s, %(steps)s, %(cost_usd)s,
           %(tokens)s, %(rows)s, %(bytes)s) AS last_sequence;

-- name: remove_from_state
UPDATE executions SET state = state - %(removed)s::text[] WHERE execution_id = %(execution_id)s;

-- name: append_events
SELECT append_execution_events(%(execution_id)s, %(events)s) AS last_sequence;

-- name: charge_parent
-- What an execution has written counts for the one that began it, too: a loop through others is no way around.
UPDATE executions AS parent SET bytes_written = parent.bytes_written + child.bytes_written
  FROM executions AS child
 WHERE child.execution_id = %(execution_id)s AND parent.execution_id = child.parent_execution_id;

-- name: list_signals
SELECT signal_id, node_id, payload FROM execution_signals WHERE execution_id = %(execution_id)s ORDER BY signal_id;

-- name: add_signal
INSERT INTO execution_signals (execution_id, node_id, payload)
VALUES (%(execution_id)s, %(node_id)s, %(payload)s);

-- name: drop_wait_of_node
-- A loop may come round to a node that still waits: it is asked anew, and what it had asked for before is over.
DELETE FROM execution_waits WHERE execution_id = %(execution_id)s AND node_id = %(node_id)s;

-- name: add_wait
INSERT INTO execution_waits (wait_id, execution_id, node_id, kind, correlation_key, due_at, sequence, detail)
VALUES (%(wait_id)s, %(execution_id)s, %(node_id)s, %(kind)s, %(correlation_key)s, now() + %(timeout)s,
        %(sequence)s, %(detail)s)
RETURNING wait_id, execution_id, node_id, kind, correlation_key, due_at, sequence, detail;

-- name: end_wait
-- Only one caller gets the row: what a node waits for is answered once.
DELETE FROM execution_waits WHERE wait_id = %(wait_id)s
RETURNING wait_id, execution_id, node_id, kind, correlation_key, due_at, sequence, detail;

-- name: list_waits
SELECT wait_id, execution_id, node_id, kind, correlation_key, due_at, sequence, detail
  FROM execution_waits WHERE execution_id = %(execution_id)s ORDER BY sequence, node_id;

-- name: drop_waits
DELETE FROM execution_waits WHERE execution_id = %(execution_id)s;

-- name: take_kept_event
-- The oldest that fits; a wait without a key takes any.
DELETE FROM kept_events
 WHERE kept_event_id = (
       SELECT kept_event_id FROM kept_events
        WHERE execution_id = %(execution_id)s
          AND (%(correlation_key)s::text IS NULL OR correlation_key = %(correlation_key)s)
        ORDER BY kept_event_id LIMIT 1)
RETURNING correlation_key, payload;

-- name: count_kept_events
SELECT count(*) AS kept FROM kept_events WHERE execution_id = %(execution_id)s;

-- name: keep_event
INSERT INTO kept_events (execution_id, correlation_key, payload)
VALUES (%(execution_id)s, %(correlation_key)s, %(payload)s);

-- name: create_execution
INSERT INTO executions (execution_id, tenant_id, revision_id, workflow_id, workflow_version, initial_input, state,
                        labels, deadline_at, parent_execution_id, parent_node_id)
VALUES (%(execution_id)s, %(tenant_id)s, %(revision_id)s, %(workflow_id)s, %(workflow_version)s, %(initial_input)s,
        %(initial_input)s, %(labels)s, now() + %(timeout)s, %(parent_execution_id)s, %(parent_node_id)s)
RETURNING deadline_at;

-- name: find_execution
SELECT execution_id, tenant_id, position, revision_id, workflow_id, workflow_version, status, initial_input, state,
       labels, error, steps_executed, cost_usd, tokens_used, parent_execution_id, parent_node_id, created_at,
       started_at, updated_at, completed_at
  FROM executions
 WHERE execution_id = %(execution_id)s AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s);

-- name: lock_execution
SELECT status FROM executions WHERE execution_id = %(execution_id)s FOR UPDATE;

-- name: find_waiting_execution
SELECT execution_id, kind FROM execution_waits WHERE wait_id = %(wait_id)s;

-- name: find_wait
SELECT wait_id, execution_id, node_id, kind, correlation_key, due_at, sequence, detail
  FROM execution_waits WHERE execution_id = %(execution_id)s AND node_id = %(node_id)s;

-- name: list_unfinished_children
SELECT execution_id FROM executions
 WHERE parent_execution_id = %(execution_id)s AND status IN ('pending', 'running', 'paused')
 ORDER BY execution_id;

-- name: list_abandoned
-- In hand, or with something to do, for so long without a sign, and without a job that would take them up.
SELECT e.execution_id FROM executions e
 WHERE e.status IN ('pending', 'running', 'paused')
   AND e.updated_at < now() - make_interval(secs => %(seconds)s)
   AND (e.driver IS NOT NULL OR e.status = 'pending'
        OR EXISTS (SELECT FROM execution_signals s WHERE s.execution_id = e.execution_id))
   AND NOT EXISTS (SELECT FROM procrastinate_jobs j
                    WHERE j.lock = 'execution ' || e.execution_id AND j.status IN ('todo', 'doing'))
   AND e.execution_id <> ALL (%(but)s::uuid[])
 ORDER BY e.updated_at LIMIT %(limit)s;

-- name: list_overdue_waits
-- Whose time has been over for so long that the job that was to tell of it is lost, or far behind.
SELECT wait_id FROM execution_waits
 WHERE due_at < now() - make_interval(secs => %(seconds)s) AND wait_id <> ALL (%(but)s::uuid[])
 ORDER BY due_at LIMIT %(limit)s;

-- name: list_overdue
SELECT execution_id FROM executions
 WHERE status IN ('pending', 'running', 'paused') AND deadline_at < now() - make_interval(secs => %(seconds)s)
   AND execution_id <> ALL (%(but)s::uuid[])
 ORDER BY deadline_at LIMIT %(limit)s;

-- name: list_unreported
-- Executions that ended so long ago and still are waited for by those that began them.
SELECT child.execution_id
  FROM execution_waits w JOIN executions child ON child.execution_id = (w.detail ->> 'child_id')::uuid
 WHERE w.kind = 'child' AND child.completed_at < now() - make_interval(secs => %(seconds)s)
   AND child.execution_id <> ALL (%(but)s::uuid[])
 ORDER BY child.completed_at LIMIT %(limit)s;

-- name: rest
-- The worker lets go of it; it waits, or a signal brings it back.
UPDATE executions
   SET driver = NULL, updated_at = now(),
       status = CASE WHEN execution_is_asleep(execution_id) THEN 'paused' ELSE 'running' END
 WHERE execution_id = %(execution_id)s;

-- name: derive_status
-- Of one that waits, and for which nothing has come; the row is locked. A row says that the status is another now.
UPDATE executions
   SET status = CASE status WHEN 'paused' THEN 'running' ELSE 'paused' END
 WHERE execution_id = %(execution_id)s AND driver IS NULL AND status IN ('running', 'paused')
   AND (status = 'paused') <> execution_is_asleep(execution_id)
   AND NOT EXISTS (SELECT FROM execution_signals s WHERE s.execution_id = %(execution_id)s)
RETURNING parent_execution_id;

-- name: finish
UPDATE executions
   SET status = %(status)s, error = %(error)s, driver = NULL, fence = fence + 1, completed_at = now(),
       updated_at = now()
 WHERE execution_id = %(execution_id)s AND status IN ('pending', 'running', 'paused')
RETURNING tenant_id, state, parent_execution_id, parent_node_id;

-- name: count_visits
-- How often the node was started and failed since it was last scheduled, and how often it was scheduled.
SELECT count(*) FILTER (WHERE type = 'node_started' AND sequence > scheduled.last) AS starts,
       count(*) FILTER (WHERE type = 'node_failed' AND sequence > scheduled.last) AS failures,
       count(*) FILTER (WHERE type = 'node_scheduled') AS rounds
  FROM execution_events,
       (SELECT coalesce(max(sequence), 0) AS last FROM execution_events
         WHERE execution_id = %(execution_id)s AND node_id = %(node_id)s AND type = 'node_scheduled') AS scheduled
 WHERE execution_id = %(execution_id)s AND node_id = %(node_id)s;

-- name: is_held
SELECT execution_id FROM executions
 WHERE execution_id = %(execution_id)s AND fence = %(fence)s AND status = 'running';

-- name: count_ancestors
WITH RECURSIVE line AS (
    SELECT parent_execution_id FROM executions WHERE execution_id = %(execution_id)s
     UNION ALL
    SELECT e.parent_execution_id FROM executions e JOIN line ON e.execution_id = line.parent_execution_id
)
SELECT count(parent_execution_id) AS ancestors FROM line;

-- name: count_family
-- Those that have not ended, from the one on that nobody has begun. What an execution has begun ends with it at the
-- latest, so the way down leads through none that has ended.
WITH RECURSIVE line AS (
    SELECT execution_id, parent_execution_id FROM executions WHERE execution_id = %(execution_id)s
     UNION ALL
    SELECT e.execution_id, e.parent_execution_id
      FROM executions e JOIN line ON e.execution_id = line.parent_execution_id
), family AS (
    SELECT execution_id FROM line WHERE parent_execution_id IS NULL
     UNION ALL
    SELECT e.execution_id
      FROM executions e JOIN family ON e.parent_execution_id = family.execution_id
     WHERE e.status IN ('pending', 'running', 'paused')
)
SELECT count(*) AS members FROM family;

-- name: note_child
UPDATE execution_waits SET detail = detail || jsonb_build_object('child_id', %(child_id)s::text)
 WHERE wait_id = %(wait_id)s;

-- name: find_last_event
SELECT execution_id, sequence, type, node_id, data, created_at FROM execution_events
 WHERE execution_id = %(execution_id)s AND node_id = ANY(%(node_ids)s) AND type = %(type)s
 ORDER BY sequence DESC LIMIT 1;

-- name: list_outputs
SELECT DISTINCT ON (node_id) node_id, data -> 'output' AS output FROM execution_events
 WHERE execution_id = %(execution_id)s AND node_id = ANY(%(node_ids)s) AND type = 'node_completed'
 ORDER BY node_id, sequence DESC;

-- name: list_tried_tools
SELECT DISTINCT node_id FROM execution_events
 WHERE execution_id = %(execution_id)s AND node_id = ANY(%(node_ids)s)
   AND (type = 'tool_call_completed' OR type = 'node_failed' AND data -> 'retryable' = 'false');

-- name: list_executions
-- The positions are found in an index alone, so that those before the page are not read themselves.
SELECT execution_id, tenant_id, position, revision_id, workflow_id, workflow_version, status, labels, error,
       steps_executed, cost_usd, tokens_used, parent_execution_id, parent_node_id, created_at, started_at, updated_at,
       completed_at
  FROM executions
 WHERE tenant_id = %(tenant_id)s AND position = ANY (ARRAY(
           SELECT position FROM executions WHERE tenant_id = %(tenant_id)s
            ORDER BY position DESC LIMIT %(limit)s OFFSET %(offset)s
       ))
 ORDER BY position DESC;

-- name: list_executions_by_status
SELECT execution_id, tenant_id, position, revision_id, workflow_id, workflow_version, status, labels, error,
       steps_executed, cost_usd, tokens_used, parent_execution_id, parent_node_id, created_at, started_at, updated_at,
       completed_at
  FROM executions
 WHERE tenant_id = %(tenant_id)s AND position = ANY (ARRAY(
           SELECT position FROM executions WHERE tenant_id = %(tenant_id)s AND status = %(status)s
            ORDER BY position DESC LIMIT %(limit)s OFFSET %(offset)s
       ))
 ORDER BY position DESC;

-- name: list_events
-- No more bytes than a page may have, but one event at least. Small values are not unpacked to be measured.
SELECT execution_id, sequence, type, node_id, data, created_at FROM (
    SELECT *, row_number() OVER in_order AS place,
           sum(CASE WHEN pg_column_size(data) < 2000 THEN pg_column_size(data) ELSE octet_length(data::text) END)
               OVER in_order AS bytes
      FROM (SELECT * FROM execution_events WHERE execution_id = %(execution_id)s AND sequence > %(after)s
             ORDER BY sequence LIMIT %(limit)s) AS next_events
    WINDOW in_order AS (ORDER BY sequence)) AS page
 WHERE place = 1 OR %(bytes)s::bigint IS NULL OR bytes <= %(bytes)s
 ORDER BY sequence;

-- name: find_progress
SELECT status, last_sequence FROM executions
 WHERE execution_id = %(execution_id)s AND tenant_id = %(tenant_id)s;

-- name: list_decided_approvals
WITH RECURSIVE family AS (
    SELECT execution_id, 0 AS depth FROM executions WHERE execution_id = %(execution_id)s
     UNION ALL
    SELECT e.execution_id, family.depth + 1
      FROM executions e JOIN family ON e.parent_execution_id = family.execution_id
)
SELECT v.execution_id, v.sequence, v.type, v.node_id, v.data, v.created_at
  FROM execution_events v JOIN family USING (execution_id)
 WHERE v.type = 'approval_received'
 ORDER BY family.depth, v.execution_id, v.sequence;

-- name: list_pending_approvals
WITH RECURSIVE family AS (
    SELECT execution_id, 0 AS depth FROM executions WHERE execution_id = %(execution_id)s
     UNION ALL
    SELECT e.execution_id, family.depth + 1
      FROM executions e JOIN family ON e.parent_execution_id = family.execution_id
)
SELECT w.wait_id, w.execution_id, w.node_id, w.kind, w.correlation_key, w.due_at, w.sequence, w.detail
  FROM execution_waits w JOIN family USING (execution_id)
 WHERE w.kind = 'approval'
 ORDER BY family.depth, w.execution_id, w.sequence;

-- name: find_event_wait
SELECT wait_id, execution_id, node_id, kind, correlation_key, due_at, sequence, detail FROM execution_waits
 WHERE execution_id = %(execution_id)s AND kind = 'event'
   AND (correlation_key IS NULL OR correlation_key = %(correlation_key)s)
 ORDER BY correlation_key IS NULL, sequence LIMIT 1;

-- name: count_executions
SELECT (SELECT count(*) FROM executions
         WHERE tenant_id = %(tenant_id)s AND status IN ('pending', 'running', 'paused')) AS unfinished,
       (SELECT count(*) FROM executions
         WHERE tenant_id = %(tenant_id)s AND created_at > now() - interval '1 minute') AS last_minute;

-- name: list_node_states
-- The last event of each node, as the state that it means.
SELECT DISTINCT ON (node_id) node_id, CASE type WHEN 'node_scheduled' THEN 'pending' WHEN 'node_started' THEN 'running'
       ELSE replace(type, 'node_', '') END AS state
  FROM execution_events
 WHERE execution_id = %(execution_id)s
   AND type IN ('node_scheduled', 'node_started', 'node_completed', 'node_failed', 'node_skipped')
 ORDER BY node_id, sequence DESC;

-- name: list_children
SELECT execution_id, tenant_id, position, revision_id, workflow_id, workflow_version, status, labels, error,
       steps_executed, cost_usd, tokens_used, parent_execution_id, parent_node_id, created_at, started_at, updated_at,
       completed_at
  FROM executions WHERE parent_execution_id = %(execution_id)s
 ORDER BY position LIMIT %(limit)s;
