-- name: list_turns
SELECT thread_id, task_id, status, attempt, accepted_at::text FROM agent_turns ORDER BY turn_id;

-- name: list_open_tasks
SELECT task_id, thread_id, state FROM a2a_tasks
 WHERE state NOT IN ('COMPLETED', 'FAILED', 'CANCELED', 'REJECTED') ORDER BY task_id;

-- name: list_failed_tasks
-- Nothing that is done to them here is a reason for a turn to fail, but what some of the orders ask for.
SELECT task_id, thread_id, state FROM a2a_tasks WHERE state IN ('FAILED', 'REJECTED') AND thread_id !~ '^(fails|odd)-' ORDER BY task_id;

-- name: list_states
SELECT task_id, state FROM a2a_tasks WHERE task_id = ANY(%(tasks)s);

-- name: list_task_gaps
-- The first version is the task itself; what a snapshot holds may have been pruned, from the beginning on.
SELECT t.task_id, t.version, min(e.first_version) AS first, max(e.version) AS last
  FROM a2a_tasks t JOIN a2a_task_events e USING (task_id)
 GROUP BY t.task_id
HAVING sum(e.version - e.first_version + 1) <> max(e.version) - min(e.first_version) + 1 OR max(e.version) <> t.version;

-- name: list_strange_owners
-- Threads that nobody owns though they have a state or a task, and tasks that are somebody else's than their thread.
SELECT c.thread_id, 'a checkpoint without an owner' AS what
  FROM (SELECT thread_id FROM checkpoints UNION SELECT thread_id FROM checkpoint_blobs
         UNION SELECT thread_id FROM checkpoint_writes) AS c
 WHERE NOT EXISTS (SELECT FROM agent_threads t WHERE t.thread_id = c.thread_id)
 UNION ALL
SELECT k.thread_id, 'a task with another owner' FROM a2a_tasks k JOIN agent_threads t USING (thread_id)
 WHERE k.owner_key <> t.owner_key;

-- name: list_overlong
SELECT thread_id, checkpoint_ns, count(*) AS checkpoints FROM checkpoints
 GROUP BY thread_id, checkpoint_ns HAVING count(*) > %(keep)s ORDER BY thread_id;

-- name: list_unused_blobs
SELECT b.thread_id, b.channel, b.version FROM checkpoint_blobs b
 WHERE NOT EXISTS (SELECT FROM checkpoints c
                    WHERE c.thread_id = b.thread_id AND c.checkpoint_ns = b.checkpoint_ns
                      AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version);

-- name: list_owners
SELECT t.thread_id, o.agent_id FROM agent_threads t LEFT JOIN agent_owners o USING (owner_key)
 WHERE t.thread_id = ANY(%(threads)s);

-- name: list_tables_with_threads
SELECT table_name FROM information_schema.columns
 WHERE table_schema = 'public' AND column_name = 'thread_id' ORDER BY table_name;

-- name: list_live_processes
SELECT agent_id, process_id::text FROM agent_processes WHERE lease_until > now() ORDER BY agent_id, process_id;

-- name: list_unended_executions
SELECT execution_id::text, status, driver, steps_executed, updated_at::text FROM executions
 WHERE status NOT IN ('completed', 'failed', 'cancelled', 'limit_exceeded') ORDER BY position;

-- name: list_failed_executions
SELECT execution_id::text, status, error FROM executions
 WHERE status IN ('failed', 'cancelled', 'limit_exceeded') ORDER BY position;

-- name: list_execution_ids
SELECT execution_id::text, status FROM executions;

-- name: list_execution_gaps
SELECT e.execution_id::text, e.last_sequence, count(v.sequence) AS events, min(v.sequence) AS first, max(v.sequence) AS last
  FROM executions e LEFT JOIN execution_events v USING (execution_id)
 GROUP BY e.execution_id
HAVING count(v.sequence) <> e.last_sequence OR min(v.sequence) <> 1 OR max(v.sequence) <> e.last_sequence;

-- name: list_nodes_not_told_once
SELECT v.execution_id::text, v.node_id, count(*) AS times
  FROM execution_events v JOIN executions e USING (execution_id)
 WHERE v.type = 'node_completed' AND e.status = 'completed'
 GROUP BY v.execution_id, v.node_id HAVING count(*) <> 1;

-- name: list_leftovers
-- What is there for executions that have ended.
SELECT execution_id::text, 'a wait' AS what FROM execution_waits w JOIN executions e USING (execution_id)
 WHERE e.completed_at IS NOT NULL
 UNION ALL
SELECT execution_id::text, 'a signal' FROM execution_signals s JOIN executions e USING (execution_id)
 WHERE e.completed_at IS NOT NULL
 UNION ALL
SELECT coalesce(j.lock, j.args::text), 'a job that is ' || j.status FROM procrastinate_jobs j
 WHERE j.status IN ('todo', 'doing') AND coalesce(j.scheduled_at, now()) <= now();

-- name: list_live_workers
SELECT worker_id FROM workers WHERE lease_until > now() ORDER BY worker_id;

-- name: list_idle_in_transaction
SELECT datname, state, left(query, 200) AS query, (now() - state_change)::text AS since FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
   AND (state LIKE 'idle in transaction%%' OR state = 'active')
   AND now() - state_change > interval '5 seconds';

-- name: count_connections
SELECT count(*) AS connections FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = ANY(%(databases)s);
