-- The key under which an agent takes on new threads: its oldest one, or a new one. The lock makes a change of
-- the agent's id and a claim wait for each other; whoever comes second sees what the first one did. Two
-- replicas that start at once may make two keys, which is as good as one.
CREATE FUNCTION ensure_agent_owner(the_agent text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    the_key bigint;
BEGIN
    SELECT owner_key INTO the_key FROM agent_owners
     WHERE agent_id = the_agent ORDER BY owner_key LIMIT 1 FOR KEY SHARE;
    IF NOT FOUND THEN
        INSERT INTO agent_owners (agent_id) VALUES (the_agent) RETURNING owner_key INTO the_key;
    END IF;
    RETURN the_key;
END $$;

-- Finds or makes the row of a thread and locks it until the transaction ends, so that turns of one thread are
-- accepted one at a time. It says whose the thread is and leaves the verdict to its caller. It goes round again
-- when the row disappears or appears between its two looks.
CREATE FUNCTION claim_agent_thread(the_agent text, the_thread text, the_caller text)
RETURNS TABLE (owner_key bigint, agent_id text, caller text, summary text, created boolean, had_checkpoints boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    the_key bigint;
BEGIN
    LOOP
        RETURN QUERY
        SELECT t.owner_key, o.agent_id, t.caller, m.summary, false, false
          FROM agent_threads t
          JOIN agent_owners o ON o.owner_key = t.owner_key
          LEFT JOIN persistent_memory m ON m.thread_id = t.thread_id
         WHERE t.thread_id = the_thread
           FOR NO KEY UPDATE OF t FOR KEY SHARE OF o;
        IF FOUND THEN
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
