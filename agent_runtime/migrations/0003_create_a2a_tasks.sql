-- The A2A task as of event `version`, serialised (protobuf: jsonb and text cannot hold a NUL character).
CREATE TABLE a2a_tasks (
    task_id text COLLATE "C" PRIMARY KEY,
    thread_id text COLLATE "C" NOT NULL REFERENCES agent_threads,
    owner_key bigint NOT NULL REFERENCES agent_owners,
    caller text NOT NULL DEFAULT '',
    state text NOT NULL,
    status_at timestamptz NOT NULL DEFAULT now(),
    version int NOT NULL DEFAULT 0,
    task bytea NOT NULL
);
CREATE INDEX a2a_tasks_by_thread ON a2a_tasks (thread_id, state);
CREATE INDEX a2a_tasks_by_caller ON a2a_tasks (owner_key, caller, status_at DESC, task_id DESC);

-- What happened to a task after the stored version, in order, so that another replica can follow a stream.
CREATE TABLE a2a_task_events (
    task_id text COLLATE "C" NOT NULL REFERENCES a2a_tasks ON DELETE CASCADE,
    version int NOT NULL,
    event bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, version)
);
CREATE INDEX a2a_task_events_by_age ON a2a_task_events (created_at);

CREATE TABLE a2a_push_configs (
    task_id text COLLATE "C" NOT NULL REFERENCES a2a_tasks ON DELETE CASCADE,
    config_id text COLLATE "C" NOT NULL,
    config bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, config_id)
);
