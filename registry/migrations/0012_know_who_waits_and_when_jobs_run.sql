-- Whether an execution that no worker has in hand cannot go on without somebody or a moment to come: that holds, too,
-- where all that it waits for is executions of which each is paused itself.
CREATE FUNCTION execution_is_asleep(the_execution uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT coalesce(bool_and(w.kind IN ('approval', 'event', 'timer')
                             OR w.kind = 'child' AND child.status IS NOT DISTINCT FROM 'paused'), false)
      FROM execution_waits w LEFT JOIN executions child ON child.execution_id = (w.detail ->> 'child_id')::uuid
     WHERE w.execution_id = the_execution
$$;

-- time_zone is the one in which the expression is meant. next_run_at is null where no time is to come any more: such a
-- job is not enabled, and last_error says why.
ALTER TABLE cron_jobs
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC',
    ALTER COLUMN next_run_at DROP NOT NULL;
