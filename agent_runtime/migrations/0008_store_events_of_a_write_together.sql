-- The events of one write are one row: each behind its length, as protobuf writes messages one after the other. `version`
-- is that of the last of them. A row less for most turns, and no list for the driver to put together.
ALTER TABLE a2a_task_events ADD COLUMN first_version int;
ALTER TABLE a2a_task_events RENAME COLUMN event TO events;

CREATE FUNCTION varint(the_number int) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rest int := the_number;
    made bytea := '';
BEGIN
    WHILE rest > 127 LOOP
        made := made || set_byte('\x00', 0, 128 + rest % 128);
        rest := rest / 128;
    END LOOP;
    RETURN made || set_byte('\x00', 0, rest);
END $$;
UPDATE a2a_task_events SET first_version = version, events = varint(length(events)) || events;
DROP FUNCTION varint;
ALTER TABLE a2a_task_events ALTER COLUMN first_version SET NOT NULL;

-- A task's owner is its thread's, and owners are never deleted: the thread's own reference is enough.
ALTER TABLE a2a_tasks DROP CONSTRAINT a2a_tasks_owner_key_fkey;

-- Without a lock on the owner of a thread that is there already: all turns of an agent have the same one, and to note
-- who holds it was dearer than what it is good for. A turn that is accepted while the agent's id changes is one that
-- was accepted a moment before. For a new thread the key is still held, by `ensure_agent_owner`.
CREATE OR REPLACE FUNCTION claim_agent_thread(the_agent text, the_thread text, the_caller text)
RETURNS TABLE (owner_key bigint, agent_id text, caller text, summary text, created boolean, had_checkpoints boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    the_key bigint;
BEGIN
    LOOP
        PERFORM FROM agent_threads t WHERE t.thread_id = the_thread FOR NO KEY UPDATE;
        IF FOUND THEN
            -- A statement of its own: it sees what was committed while the row was waited for.
            RETURN QUERY
            SELECT t.owner_key, o.agent_id, t.caller, m.summary, false, false
              FROM agent_threads t
              JOIN agent_owners o ON o.owner_key = t.owner_key
              LEFT JOIN persistent_memory m ON m.thread_id = t.thread_id
             WHERE t.thread_id = the_thread;
            RETURN;
        END IF;
        the_key := ensure_agent_owner(the_agent);
        INSERT INTO agent_threads (thread_id, owner_key, caller) VALUES (the_thread, the_key, the_caller)
            ON CONFLICT (thread_id) DO NOTHING;
        IF FOUND THEN
            RETURN QUERY
            SELECT the_key, the_agent, the_caller, NULL::text, true,
                   EXISTS (SELECT FROM checkpoints c WHERE c.thread_id = the_thread);
            RETURN;
        END IF;
    END LOOP;
END $$;

DROP FUNCTION append_turn_events;
CREATE FUNCTION append_turn_events(
    the_turn bigint, the_attempt int, the_task text, the_owner bigint, the_version int, the_events bytea,
    the_count int, the_time timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold_agent_turn(the_turn, the_attempt);
    PERFORM check_task_version(the_task, the_owner, the_version);
    IF the_time IS NOT NULL THEN
        UPDATE a2a_tasks SET status_at = the_time WHERE task_id = the_task;
    END IF;
    INSERT INTO a2a_task_events (task_id, first_version, version, events)
    VALUES (the_task, the_version + 1, the_version + the_count, the_events);
    RETURN EXISTS (SELECT FROM a2a_push_configs WHERE task_id = the_task);
END $$;

DROP FUNCTION end_agent_turn;
CREATE FUNCTION end_agent_turn(
    the_turn bigint, the_attempt int, the_rows json, the_bytes bytea, the_task text, the_owner bigint,
    the_version int, the_events bytea, the_count int, the_snapshot bytea, the_state text, the_time timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM agent_turns WHERE turn_id = the_turn AND attempt = the_attempt;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'turn % is no longer attempt % of this process', the_turn, the_attempt
            USING ERRCODE = 'AS001';
    END IF;
    IF the_snapshot IS NULL THEN
        DELETE FROM a2a_tasks WHERE task_id = the_task AND owner_key = the_owner;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'task % is gone', the_task USING ERRCODE = 'AS002';
        END IF;
    ELSE
        PERFORM check_task_version(the_task, the_owner, the_version);
        UPDATE a2a_tasks
           SET task = the_snapshot, state = the_state, status_at = the_time, version = the_version + the_count
         WHERE task_id = the_task;
        INSERT INTO a2a_task_events (task_id, first_version, version, events)
        VALUES (the_task, the_version + 1, the_version + the_count, the_events);
    END IF;
    IF the_rows IS NOT NULL THEN
        PERFORM store_checkpoint_rows(the_rows, the_bytes);
    END IF;
    RETURN EXISTS (SELECT FROM a2a_push_configs WHERE task_id = the_task);
END $$;
