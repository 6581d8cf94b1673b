-- An agent id owns threads through owner keys: a rename or a merge moves keys from one id to another, one
-- row however many threads there are. A thread keeps its key, unless it is adopted from an agent without an id.
CREATE TABLE agent_owners (
    owner_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX agent_owners_by_agent ON agent_owners (agent_id, owner_key);

-- position is the order of creation, and the cursor of the listing.
-- caller is the authenticated A2A user who opened the context; '' for anonymous ones.
CREATE TABLE agent_threads (
    thread_id text COLLATE "C" PRIMARY KEY,
    owner_key bigint NOT NULL REFERENCES agent_owners,
    caller text NOT NULL DEFAULT '',
    position bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX agent_threads_by_owner ON agent_threads (owner_key, position) INCLUDE (thread_id);

CREATE TABLE persistent_memory (
    thread_id text COLLATE "C" PRIMARY KEY REFERENCES agent_threads ON DELETE CASCADE,
    owner_key bigint NOT NULL REFERENCES agent_owners,
    summary text NOT NULL,
    summarized_messages int NOT NULL,
    last_message_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX persistent_memory_by_owner ON persistent_memory (owner_key);
