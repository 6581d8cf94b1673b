-- name: measure_backlog
-- Jobs whose time has come and that no worker has taken, and for how long the first of them has waited.
SELECT count(*) AS jobs,
       coalesce(extract(epoch FROM now() - min(coalesce(j.scheduled_at, e.at))), 0)::float AS longest_wait
  FROM procrastinate_jobs AS j
  LEFT JOIN procrastinate_events AS e ON e.job_id = j.id AND e.type = 'deferred'
 WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now());
