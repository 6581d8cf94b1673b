-- What the attempts of a turn have used so far, an entry per model, by the number of the attempt. An attempt writes all
-- of its own each time, so that it does not matter how often it does.
ALTER TABLE agent_turns ADD COLUMN usage jsonb NOT NULL DEFAULT '{}';

-- What is kept of a turn that has ended, for `TURN_HISTORY_DAYS`; it goes with its thread. No reference to the thread:
-- it is written with the turn's row held, and the thread's row comes before that one in the order of locks. The
-- figures beside `usage` are its sums. `cost` is null where no price is known.
CREATE TABLE agent_turn_records (
    turn_id bigint PRIMARY KEY,
    thread_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    owner_key bigint NOT NULL,
    caller text NOT NULL,
    state text NOT NULL,
    accepted_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT now(),
    duration_ms bigint,
    usage jsonb NOT NULL,
    model text NOT NULL,
    model_calls bigint NOT NULL,
    tool_calls bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost numeric,
    failure jsonb
);
CREATE INDEX agent_turn_records_by_age ON agent_turn_records (owner_key, accepted_at DESC, turn_id DESC);
CREATE INDEX agent_turn_records_by_caller ON agent_turn_records (owner_key, caller, accepted_at DESC, turn_id DESC);
CREATE INDEX agent_turn_records_by_thread ON agent_turn_records (thread_id, accepted_at DESC, turn_id DESC);
CREATE INDEX agent_turn_records_by_task ON agent_turn_records (task_id);
-- A failure is looked for among very many turns that went well.
CREATE INDEX agent_turn_records_failed ON agent_turn_records (owner_key, accepted_at DESC, turn_id DESC)
 WHERE state = 'failed';

CREATE FUNCTION turn_usage_totals(the_usage jsonb) RETURNS TABLE (
    model text, model_calls bigint, tool_calls bigint, input_tokens bigint, cached_tokens bigint,
    output_tokens bigint, cost numeric
) LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(string_agg(DISTINCT e.model, ','), ''), coalesce(sum(e.model_calls), 0)::bigint,
           coalesce(sum(e.tool_calls), 0)::bigint, coalesce(sum(e.input_tokens), 0)::bigint,
           coalesce(sum(e.cached_tokens), 0)::bigint, coalesce(sum(e.output_tokens), 0)::bigint, sum(e.cost)
      FROM jsonb_each(the_usage) AS attempt (number, entries),
           jsonb_to_recordset(attempt.entries) AS e (
               model text, model_calls bigint, tool_calls bigint, input_tokens bigint, cached_tokens bigint,
               output_tokens bigint, cost numeric)
$$;

-- `the_report` is what the last attempt has to say: its number, state, duration, usage and failure.
CREATE FUNCTION record_agent_turn(ended agent_turns, the_owner bigint, the_caller text, the_report jsonb)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO agent_turn_records (
           turn_id, thread_id, task_id, owner_key, caller, state, accepted_at, duration_ms, failure, usage,
           model, model_calls, tool_calls, input_tokens, cached_tokens, output_tokens, cost)
    SELECT ended.turn_id, ended.thread_id, ended.task_id, the_owner, the_caller, the_report ->> 'state',
           ended.accepted_at, (the_report -> 'duration_ms')::bigint, nullif(the_report -> 'failure', 'null'),
           used.usage, t.*
      FROM (SELECT ended.usage || coalesce(the_report -> 'usage', '{}')) AS used (usage),
           turn_usage_totals(used.usage) AS t
$$;

DROP FUNCTION store_turn_checkpoints;
CREATE FUNCTION store_turn_checkpoints(
    the_turn bigint, the_attempt int, takes_answer boolean, the_rows json, the_bytes bytea, the_usage jsonb
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF takes_answer THEN
        PERFORM hold_answered_agent_turn(the_turn, the_attempt);
    END IF;
    IF the_usage IS NOT NULL THEN
        -- Not after `hold_agent_turn`: two of the turn's writers would wait for each other to let go of the row.
        UPDATE agent_turns SET usage = usage || the_usage WHERE turn_id = the_turn AND attempt = the_attempt;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'turn % is no longer attempt % of this process', the_turn, the_attempt
                USING ERRCODE = 'AS001';
        END IF;
    ELSIF NOT takes_answer THEN
        PERFORM hold_agent_turn(the_turn, the_attempt);
    END IF;
    PERFORM store_checkpoint_rows(the_rows, the_bytes);
END $$;

DROP FUNCTION end_agent_turn;
CREATE FUNCTION end_agent_turn(
    the_turn bigint, the_attempt int, the_rows json, the_bytes bytea, the_task text, the_owner bigint,
    the_version int, the_events bytea, the_count int, the_snapshot bytea, the_state text, the_time timestamptz,
    the_caller text, the_report jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    pushes boolean := false;
    ended agent_turns;
BEGIN
    DELETE FROM agent_turns WHERE turn_id = the_turn AND attempt = the_attempt RETURNING * INTO ended;
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
    PERFORM record_agent_turn(ended, the_owner, the_caller, the_report);
    RETURN pushes;
END $$;
