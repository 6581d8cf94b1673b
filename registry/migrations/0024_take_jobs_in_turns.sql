-- Marks the next job of a worker, and returns it: of the tenant whose jobs it has not taken for longest (`the_order`, those
-- that are not in it first), and of that tenant's the one that has waited longest. Tenants that are `full` are passed over
-- as long as there are others who may come. Jobs that are nobody's have the tenant ''. The conditions are those of
-- procrastinate_fetch_job_v2: jobs of one lock run one after the other.
CREATE FUNCTION take_job_in_turns(the_queues text[], the_worker bigint, the_order text[], the_full text[])
RETURNS TABLE (id bigint, task_name text, priority int, lock text, queueing_lock text, args jsonb,
               scheduled_at timestamptz, queue_name text, attempts int)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    the_tenant text;
    shared boolean := cardinality(the_full) > 0
        AND (SELECT count(*) FROM (SELECT FROM tenants WHERE status = 'active' LIMIT 2) AS two) > 1;
BEGIN
    FOR the_tenant IN
        -- Each tenant once, by as many looks into the index.
        WITH RECURSIVE waiting (tenant) AS (
            (SELECT coalesce(j.args #>> '{origin,tenant}', '') FROM procrastinate_jobs AS j
              WHERE j.status = 'todo' ORDER BY 1 LIMIT 1)
            UNION ALL
            SELECT (SELECT coalesce(j.args #>> '{origin,tenant}', '') FROM procrastinate_jobs AS j
                     WHERE j.status = 'todo' AND coalesce(j.args #>> '{origin,tenant}', '') > w.tenant
                     ORDER BY 1 LIMIT 1)
              FROM waiting AS w WHERE w.tenant IS NOT NULL
        )
        SELECT w.tenant FROM waiting AS w
         WHERE w.tenant IS NOT NULL AND NOT (shared AND w.tenant = ANY(the_full))
         ORDER BY coalesce(array_position(the_order, w.tenant), 0)
    LOOP
        RETURN QUERY
        WITH candidate AS (
            SELECT j.id FROM procrastinate_jobs AS j
             WHERE j.status = 'todo' AND coalesce(j.args #>> '{origin,tenant}', '') = the_tenant
               AND (the_queues IS NULL OR j.queue_name = ANY(the_queues))
               AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
               AND NOT EXISTS (
                   SELECT FROM procrastinate_jobs AS o
                    WHERE j.lock IS NOT NULL AND o.lock = j.lock
                      AND (o.status = 'doing'
                           OR o.status = 'todo' AND (o.priority > j.priority
                                                     OR o.priority = j.priority AND o.id < j.id)))
             ORDER BY j.priority DESC, j.id LIMIT 1
               FOR UPDATE OF j SKIP LOCKED
        )
        UPDATE procrastinate_jobs AS j SET status = 'doing', worker_id = the_worker
          FROM candidate AS c WHERE j.id = c.id
        RETURNING j.id, j.task_name::text, j.priority, j.lock, j.queueing_lock, j.args, j.scheduled_at,
                  j.queue_name::text, j.attempts;
        IF FOUND THEN
            RETURN;
        END IF;
    END LOOP;
END $$;
