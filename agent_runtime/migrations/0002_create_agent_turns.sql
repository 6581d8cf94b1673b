-- One row per live process of an agent. A process whose lease has run out is taken for dead.
CREATE TABLE agent_processes (
    process_id uuid PRIMARY KEY,
    agent_id text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL
);
CREATE INDEX agent_processes_by_agent ON agent_processes (agent_id, lease_until);

-- A turn is here from the moment its message is accepted until its outcome is stored; turn_id is its place
-- in the queue of its thread. attempt counts the processes that have worked on it and is the fence: whoever
-- writes for the turn names the attempt it believes in.
-- task_id names the A2A task; it is not a key here, because tasks belong to another subject.
CREATE TABLE agent_turns (
    turn_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    thread_id text COLLATE "C" NOT NULL REFERENCES agent_threads,
    task_id text COLLATE "C" NOT NULL,
    process_id uuid NOT NULL,
    attempt int NOT NULL DEFAULT 1,
    status text NOT NULL CHECK (status IN ('queued', 'running')),
    request bytea NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX agent_turns_by_thread ON agent_turns (thread_id, turn_id);
CREATE INDEX agent_turns_by_process ON agent_turns (process_id);
CREATE INDEX agent_turns_by_task ON agent_turns (task_id);

-- Called first in every transaction that writes for a turn. The share lock makes a deletion, a cancellation
-- or a takeover wait until that transaction has ended, and makes every later one fail here.
CREATE FUNCTION hold_agent_turn(the_turn bigint, the_attempt int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM agent_turns WHERE turn_id = the_turn AND attempt = the_attempt FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'turn % is no longer attempt % of this process', the_turn, the_attempt
            USING ERRCODE = 'AS001';
    END IF;
END $$;
