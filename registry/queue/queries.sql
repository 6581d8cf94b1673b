-- name: list_stalled_jobs
-- Those of workers whose hearts have stopped.
SELECT j.id FROM procrastinate_jobs j
 WHERE j.status = 'doing' AND j.task_name = ANY(%(names)s) AND j.id <> ALL (%(but)s::bigint[])
   AND NOT EXISTS (SELECT FROM procrastinate_workers w
                    WHERE w.id = j.worker_id
                      AND w.last_heartbeat > now() - make_interval(secs => %(seconds)s))
 ORDER BY j.id LIMIT %(limit)s;

-- name: take_stalled_job
-- Of several who have found it at the same time, one gets it.
DELETE FROM procrastinate_jobs
 WHERE id IN (
       SELECT j.id FROM procrastinate_jobs j
        WHERE j.id = %(job_id)s AND j.status = 'doing'
          AND NOT EXISTS (SELECT FROM procrastinate_workers w
                           WHERE w.id = j.worker_id
                             AND w.last_heartbeat > now() - make_interval(secs => %(seconds)s))
          FOR UPDATE SKIP LOCKED)
RETURNING task_name AS name, queue_name AS queue, lock, args AS arguments;

-- name: list_jobs_of
SELECT id FROM procrastinate_jobs WHERE worker_id = %(worker_id)s AND status = 'doing';

-- name: take_jobs
DELETE FROM procrastinate_jobs
 WHERE id = ANY(%(job_ids)s) AND status = 'doing' AND task_name = ANY(%(names)s)
RETURNING task_name AS name, queue_name AS queue, lock, args AS arguments;

-- name: index_jobs
-- On a table of the library's, which is made by the library. CREATE INDEX IF NOT EXISTS would lock it each time.
DO $$ BEGIN
    IF to_regclass('registry_jobs_by_tenant') IS NULL THEN
        CREATE INDEX registry_jobs_by_tenant
            ON procrastinate_jobs (coalesce(args #>> '{origin,tenant}', ''), priority DESC, id) WHERE status = 'todo';
    END IF;
END $$;

-- name: take_job_in_turns
SELECT id, 'doing' AS status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts,
       %(worker_id)s AS worker_id, coalesce(args #>> '{origin,tenant}', '') AS tenant_id,
       coalesce(extract(epoch FROM clock_timestamp() - coalesce(scheduled_at, (
           SELECT min(e.at) FROM procrastinate_events AS e WHERE e.job_id = taken.id AND e.type = 'deferred'))), 0)::float
           AS waited
  FROM take_job_in_turns(%(queues)s::text[], %(worker_id)s, %(order)s::text[], %(full)s::text[]) AS taken;

-- name: keep_alive
INSERT INTO procrastinate_workers (id, last_heartbeat) OVERRIDING SYSTEM VALUE VALUES (%(worker_id)s, now())
    ON CONFLICT (id) DO UPDATE SET last_heartbeat = EXCLUDED.last_heartbeat;

-- name: get_queue
-- The workflow's author has named it in a label.
SELECT left(coalesce(nullif(labels ->> 'queue', ''), 'general'), 100) AS queue, tenant_id FROM executions
 WHERE execution_id = %(execution_id)s;

-- name: measure_backlog
-- Jobs whose time has come and that no worker has taken, and for how long the first of each queue has waited.
SELECT j.queue_name AS queue, count(*) AS jobs,
       coalesce(extract(epoch FROM now() - min(coalesce(j.scheduled_at, e.at))), 0)::float AS longest_wait
  FROM procrastinate_jobs AS j
  LEFT JOIN procrastinate_events AS e ON e.job_id = j.id AND e.type = 'deferred'
 WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
 GROUP BY j.queue_name;
