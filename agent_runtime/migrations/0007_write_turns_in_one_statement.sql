-- What a turn writes, one call for each of its moments: its acceptance, what it puts out, the checkpoints of its
-- graph, its end. A call is a transaction by itself, so that a moment costs one round trip; its plans are kept by the
-- server, behind a pooler too. Refusals are raised, which undoes the call: AS001 the turn is no longer this attempt's,
-- AS002 the task is at another version, AS003 the thread is another agent's, AS004 another caller's, AS005 nobody's
-- yet, with checkpoints of another program, AS006 a task of the thread waits for input (DETAIL is its id).

-- Rows of LangGraph's own tables, as its saver would write them: `the_rows` holds what is text, and says where in
-- `the_bytes` the rest is. A blob is never changed; a write is kept unless it is one of those that replace.
CREATE FUNCTION store_checkpoint_rows(the_rows json, the_bytes bytea) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT b.thread, b.ns, b.channel, b.version, b.type, substr(the_bytes, b.start, b.length)
      FROM json_to_recordset(the_rows -> 'blobs')
        AS b (thread text, ns text, channel text, version text, type text, start int, length int)
        ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING;
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    SELECT c.thread, c.ns, c.id, c.parent, c.checkpoint, c.metadata
      FROM json_to_recordset(the_rows -> 'checkpoints')
        AS c (thread text, ns text, id text, parent text, checkpoint jsonb, metadata jsonb)
        ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
        DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata;
    INSERT INTO checkpoint_writes
           (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT w.thread, w.ns, w.checkpoint, w.task, w.path, w.idx, w.channel, w.type,
           substr(the_bytes, w.start, w.length)
      FROM json_to_recordset(the_rows -> 'writes')
        AS w (thread text, ns text, checkpoint text, task text, path text, idx int, channel text, type text,
              start int, length int)
        ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO NOTHING;
    IF json_array_length(the_rows -> 'replacing') > 0 THEN
        INSERT INTO checkpoint_writes
               (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
        SELECT w.thread, w.ns, w.checkpoint, w.task, w.path, w.idx, w.channel, w.type,
               substr(the_bytes, w.start, w.length)
          FROM json_to_recordset(the_rows -> 'replacing')
            AS w (thread text, ns text, checkpoint text, task text, path text, idx int, channel text, type text,
                  start int, length int)
            ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
            DO UPDATE SET channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob;
    END IF;
END $$;

CREATE FUNCTION store_turn_checkpoints(
    the_turn bigint, the_attempt int, takes_answer boolean, the_rows json, the_bytes bytea
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF takes_answer THEN
        PERFORM hold_answered_agent_turn(the_turn, the_attempt);
    ELSE
        PERFORM hold_agent_turn(the_turn, the_attempt);
    END IF;
    PERFORM store_checkpoint_rows(the_rows, the_bytes);
END $$;

-- The statements see what was committed while the thread's row was waited for, each for itself.
CREATE FUNCTION accept_agent_turn(
    the_agent text, the_process uuid, the_thread text, the_caller text, the_task text, the_request bytea,
    -- The task, serialised, without its status, and the status that it then has: protobuf's fields come in any order.
    the_account bytea, when_running bytea, when_queued bytea, the_time timestamptz,
    the_config_id text, the_config bytea
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

-- Adds events to a task, on top of the version that the writer believes to be the last. Says whether anybody wants to
-- be notified. `the_time` is null when no event says something about the status.
CREATE FUNCTION append_turn_events(
    the_turn bigint, the_attempt int, the_task text, the_owner bigint, the_version int, the_events bytea[],
    the_time timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold_agent_turn(the_turn, the_attempt);
    PERFORM check_task_version(the_task, the_owner, the_version);
    IF the_time IS NOT NULL THEN
        UPDATE a2a_tasks SET status_at = the_time WHERE task_id = the_task;
    END IF;
    INSERT INTO a2a_task_events (task_id, version, event)
    SELECT the_task, the_version + e.position, e.event
      FROM unnest(the_events) WITH ORDINALITY AS e (event, position);
    RETURN EXISTS (SELECT FROM a2a_push_configs WHERE task_id = the_task);
END $$;

-- A task's row is a snapshot, and its events after that are what has happened since.
CREATE FUNCTION check_task_version(the_task text, the_owner bigint, the_version int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM a2a_tasks t
      WHERE t.task_id = the_task AND t.owner_key = the_owner
        AND greatest(t.version, (SELECT max(e.version) FROM a2a_task_events e WHERE e.task_id = the_task))
            = the_version;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'task % is not at version %', the_task, the_version USING ERRCODE = 'AS002';
    END IF;
END $$;

-- The end of a turn: the last of its checkpoints, and the task as it is then. Without a snapshot the task goes, too:
-- it was answered with a bare message.
CREATE FUNCTION end_agent_turn(
    the_turn bigint, the_attempt int, the_rows json, the_bytes bytea, the_task text, the_owner bigint,
    the_version int, the_events bytea[], the_snapshot bytea, the_state text, the_time timestamptz
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
           SET task = the_snapshot, state = the_state, status_at = the_time,
               version = the_version + cardinality(the_events)
         WHERE task_id = the_task;
        INSERT INTO a2a_task_events (task_id, version, event)
        SELECT the_task, the_version + e.position, e.event
          FROM unnest(the_events) WITH ORDINALITY AS e (event, position);
    END IF;
    IF the_rows IS NOT NULL THEN
        PERFORM store_checkpoint_rows(the_rows, the_bytes);
    END IF;
    RETURN EXISTS (SELECT FROM a2a_push_configs WHERE task_id = the_task);
END $$;
