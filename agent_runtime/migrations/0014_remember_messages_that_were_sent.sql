-- The keys under which messages were sent, so that one that is sent again gets the task that is there. `digest` is of
-- what was sent; `answer` is kept of a task that was answered with a bare message, and is gone with that. They go after
-- `IDEMPOTENCY_HOURS`, and with their thread; no reference to it, as they come before it in the order of locks.
CREATE TABLE agent_message_keys (
    key bytea PRIMARY KEY,
    digest bytea NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    answer bytea,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX agent_message_keys_by_thread ON agent_message_keys (thread_id, task_id);
CREATE INDEX agent_message_keys_by_age ON agent_message_keys USING brin (created_at);

-- Takes the key, or refuses: AS007 the message was accepted before (DETAIL is its task's id), AS008 another message was
-- sent under the key. A message that is being accepted under it at this moment is waited for.
CREATE FUNCTION claim_message_key(the_key bytea, the_digest bytea, the_thread text, the_task text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    known record;
BEGIN
    LOOP
        INSERT INTO agent_message_keys (key, digest, thread_id, task_id)
        VALUES (the_key, the_digest, the_thread, the_task) ON CONFLICT (key) DO NOTHING;
        EXIT WHEN FOUND;
        SELECT digest, task_id INTO known FROM agent_message_keys WHERE key = the_key;
        -- It may have been removed between the two looks.
        CONTINUE WHEN NOT FOUND;
        IF known.digest <> the_digest THEN
            RAISE EXCEPTION 'another message was sent under the key' USING ERRCODE = 'AS008';
        END IF;
        RAISE EXCEPTION 'the message was accepted before' USING ERRCODE = 'AS007', DETAIL = known.task_id;
    END LOOP;
END $$;

-- The statements see what was committed while the thread's row was waited for, each for itself.
DROP FUNCTION accept_agent_turn;
CREATE FUNCTION accept_agent_turn(
    the_agent text, the_process uuid, the_thread text, the_caller text, the_task text, the_request bytea,
    -- The task, serialised, without its status, and the status that it then has: protobuf's fields come in any order.
    the_account bytea, when_running bytea, when_queued bytea, the_time timestamptz,
    the_config_id text, the_config bytea,
    -- Under which the message may be sent again; null when it may not.
    the_key bytea, the_digest bytea
) RETURNS TABLE (
    turn_id bigint, attempt int, queued boolean, owner_key bigint, summary text,
    -- What the turn goes on from, unless it has to wait: LangGraph's latest checkpoint, as its saver reads it.
    checkpoint_id text, parent_checkpoint_id text, checkpoint jsonb, metadata jsonb, channel_values bytea[],
    pending_writes bytea[]
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    claimed record;
    latest record;
    waiting text;
    waits boolean;
BEGIN
    IF the_key IS NOT NULL THEN
        PERFORM claim_message_key(the_key, the_digest, the_thread, the_task);
    END IF;
    SELECT * INTO claimed FROM claim_agent_thread(the_agent, the_thread, the_caller);
    IF claimed.agent_id <> the_agent THEN
        RAISE EXCEPTION 'thread % is another agent''s', the_thread USING ERRCODE = 'AS003';
    ELSIF claimed.caller <> the_caller THEN
        RAISE EXCEPTION 'thread % is another caller''s', the_thread USING ERRCODE = 'AS004';
    ELSIF claimed.had_checkpoints THEN
        RAISE EXCEPTION 'thread % has checkpoints and no owner', the_thread USING ERRCODE = 'AS005';
    END IF;
    SELECT t.task_id INTO waiting FROM a2a_tasks t
     WHERE t.thread_id = the_thread AND t.state IN ('INPUT_REQUIRED', 'AUTH_REQUIRED') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'thread % waits for input', the_thread USING ERRCODE = 'AS006', DETAIL = waiting;
    END IF;
    waits := EXISTS (SELECT FROM agent_turns t WHERE t.thread_id = the_thread);
    INSERT INTO a2a_tasks (task_id, thread_id, owner_key, caller, state, status_at, version, task)
    VALUES (the_task, the_thread, claimed.owner_key, the_caller,
            CASE WHEN waits THEN 'SUBMITTED' ELSE 'WORKING' END, the_time, 1,
            the_account || CASE WHEN waits THEN when_queued ELSE when_running END);
    IF the_config IS NOT NULL THEN
        INSERT INTO a2a_push_configs (task_id, config_id, config) VALUES (the_task, the_config_id, the_config);
    END IF;
    SELECT c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata,
           (SELECT array_agg(ARRAY[convert_to(b.channel, 'UTF8'), convert_to(b.type, 'UTF8'), b.blob])
              FROM jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
              JOIN checkpoint_blobs b ON b.thread_id = c.thread_id AND b.checkpoint_ns = c.checkpoint_ns
                                     AND b.channel = v.key AND b.version = v.value) AS channel_values,
           (SELECT array_agg(ARRAY[convert_to(w.task_id, 'UTF8'), convert_to(w.channel, 'UTF8'),
                                   convert_to(w.type, 'UTF8'), w.blob, convert_to(w.task_path, 'UTF8'),
                                   convert_to(w.idx::text, 'UTF8')])
              FROM checkpoint_writes w
             WHERE w.thread_id = c.thread_id AND w.checkpoint_ns = c.checkpoint_ns
               AND w.checkpoint_id = c.checkpoint_id) AS pending_writes
      INTO latest
      FROM checkpoints c
     WHERE c.thread_id = the_thread AND c.checkpoint_ns = '' AND NOT waits AND NOT claimed.created
     ORDER BY c.checkpoint_id DESC LIMIT 1;
    RETURN QUERY
    INSERT INTO agent_turns AS t (thread_id, task_id, process_id, request, status)
    VALUES (the_thread, the_task, the_process, the_request, CASE WHEN waits THEN 'queued' ELSE 'running' END)
    RETURNING t.turn_id, t.attempt, waits, claimed.owner_key, claimed.summary,
              latest.checkpoint_id, latest.parent_checkpoint_id, latest.checkpoint, latest.metadata,
              latest.channel_values, latest.pending_writes;
END $$;
