-- A turn that ends before it has put anything out stores no events: its task says the same. And the task's version is
-- checked by the statement that changes it.
CREATE OR REPLACE FUNCTION end_agent_turn(
    the_turn bigint, the_attempt int, the_rows json, the_bytes bytea, the_task text, the_owner bigint,
    the_version int, the_events bytea, the_count int, the_snapshot bytea, the_state text, the_time timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    pushes boolean := false;
BEGIN
    DELETE FROM agent_turns WHERE turn_id = the_turn AND attempt = the_attempt;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'turn % is no longer attempt % of this process', the_turn, the_attempt
            USING ERRCODE = 'AS001';
    END IF;
    IF the_snapshot IS NULL THEN
        DELETE FROM a2a_tasks WHERE task_id = the_task AND owner_key = the_owner;
    ELSE
        UPDATE a2a_tasks t
           SET task = the_snapshot, state = the_state, status_at = the_time, version = the_version + the_count
         WHERE t.task_id = the_task AND t.owner_key = the_owner
           AND greatest(t.version, (SELECT max(e.version) FROM a2a_task_events e WHERE e.task_id = the_task))
               = the_version
        RETURNING EXISTS (SELECT FROM a2a_push_configs p WHERE p.task_id = the_task) INTO pushes;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'task % is gone, or not at version %', the_task, the_version USING ERRCODE = 'AS002';
    END IF;
    IF length(the_events) > 0 THEN
        INSERT INTO a2a_task_events (task_id, first_version, version, events)
        VALUES (the_task, the_version + 1, the_version + the_count, the_events);
    END IF;
    IF the_rows IS NOT NULL THEN
        PERFORM store_checkpoint_rows(the_rows, the_bytes);
    END IF;
    RETURN pushes;
END $$;
