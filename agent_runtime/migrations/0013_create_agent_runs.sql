-- What LangGraph's API keeps of threads and runs, beside what every turn keeps.
-- updated_at is when the last turn was accepted, or the thread was changed. is_temporary: the thread of a run that
-- leaves nothing behind.
ALTER TABLE agent_threads ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE agent_threads ADD COLUMN is_temporary boolean NOT NULL DEFAULT false;
UPDATE agent_threads SET updated_at = created_at;
CREATE INDEX agent_threads_by_change ON agent_threads (owner_key, caller, updated_at DESC, thread_id DESC);
CREATE INDEX agent_threads_temporary ON agent_threads (thread_id) WHERE is_temporary;

-- A table of its own: the threads' rows change with every turn, and this index had to be changed with them.
CREATE TABLE agent_thread_metadata (
    thread_id text COLLATE "C" PRIMARY KEY REFERENCES agent_threads,
    metadata jsonb NOT NULL
);
CREATE INDEX agent_thread_metadata_by_content ON agent_thread_metadata USING gin (metadata jsonb_path_ops);

-- What a run was asked for, beside its task. status is how it ended; a task may go on after that, when its question
-- is answered over A2A. `asked` is JSON; bytes, because jsonb cannot hold a NUL character.
CREATE TABLE agent_runs (
    run_id text COLLATE "C" PRIMARY KEY REFERENCES a2a_tasks ON DELETE CASCADE,
    thread_id text COLLATE "C" NOT NULL REFERENCES agent_threads,
    graph_id text NOT NULL,
    metadata jsonb NOT NULL,
    asked bytea NOT NULL,
    strategy text NOT NULL,
    status text,
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX agent_runs_by_thread ON agent_runs (thread_id, created_at DESC);

-- What a run has streamed, a row for what was written at once: a JSON array of pairs of event and data.
CREATE TABLE agent_run_frames (
    run_id text COLLATE "C" NOT NULL REFERENCES agent_runs ON DELETE CASCADE,
    first_seq int NOT NULL,
    last_seq int NOT NULL,
    frames bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, last_seq)
);
CREATE INDEX agent_run_frames_by_age ON agent_run_frames (created_at);

-- A turn that is not to begin before this.
ALTER TABLE agent_turns ADD COLUMN starts_at timestamptz;

-- Returns the place of the first of the frames. Only the holder of the turn writes, so places are not given twice.
CREATE FUNCTION append_run_frames(
    the_turn bigint, the_attempt int, the_run text, the_count int, the_frames bytea
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    the_first int;
BEGIN
    PERFORM hold_agent_turn(the_turn, the_attempt);
    SELECT coalesce(max(last_seq), 0) + 1 INTO the_first FROM agent_run_frames WHERE run_id = the_run;
    INSERT INTO agent_run_frames (run_id, first_seq, last_seq, frames)
    VALUES (the_run, the_first, the_first + the_count - 1, the_frames);
    RETURN the_first;
END $$;

-- As before, and notes that something happens to the thread: the update takes the same lock.
CREATE OR REPLACE FUNCTION claim_agent_thread(the_agent text, the_thread text, the_caller text)
RETURNS TABLE (owner_key bigint, agent_id text, caller text, summary text, created boolean, had_checkpoints boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    the_key bigint;
BEGIN
    LOOP
        UPDATE agent_threads t SET updated_at = now() WHERE t.thread_id = the_thread;
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

-- A turn of a process whose lease has run out does not make its thread busy. The newest task is looked for only where
-- one has failed at all: a thread may have many.
CREATE FUNCTION agent_thread_status(the_thread text) RETURNS text LANGUAGE sql STABLE AS $$
SELECT CASE WHEN EXISTS (SELECT FROM agent_turns r JOIN agent_processes p ON p.process_id = r.process_id
                     WHERE r.thread_id = the_thread AND p.lease_until > now()) THEN 'busy'
       WHEN EXISTS (SELECT FROM agent_turns r WHERE r.thread_id = the_thread) THEN 'error'
       WHEN EXISTS (SELECT FROM a2a_tasks a
                     WHERE a.thread_id = the_thread AND a.state IN ('INPUT_REQUIRED', 'AUTH_REQUIRED'))
       THEN 'interrupted'
       WHEN EXISTS (SELECT FROM a2a_tasks a WHERE a.thread_id = the_thread AND a.state = 'FAILED')
        AND (SELECT a.state FROM a2a_tasks a WHERE a.thread_id = the_thread
              ORDER BY a.status_at DESC LIMIT 1) = 'FAILED'
       THEN 'error'
       ELSE 'idle' END
$$;
