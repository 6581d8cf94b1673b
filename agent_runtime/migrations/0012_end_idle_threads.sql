-- Where a sweep of the agent's threads stands, which all its processes make together: whoever holds the row goes on
-- from that position; a new pass begins at next_at.
CREATE TABLE agent_sweeps (
    agent_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent_id, kind)
);

-- For the erasure of what one caller has said; threads of anonymous callers are nobody's in particular.
CREATE INDEX agent_threads_by_caller ON agent_threads (caller, owner_key, position) WHERE caller <> '';
