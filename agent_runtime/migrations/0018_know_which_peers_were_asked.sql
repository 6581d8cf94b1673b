-- Which peers were asked in a thread: they know what was said, and are told when it is erased. context_id is that of a
-- conversation there, and task_id that of a task there that has not ended, as far as is known; both are empty where
-- nothing more is known than that the peer was asked.
CREATE TABLE agent_peer_tasks (
    thread_id text COLLATE "C" NOT NULL REFERENCES agent_threads,
    peer text COLLATE "C" NOT NULL,
    context_id text COLLATE "C" NOT NULL DEFAULT '',
    task_id text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (thread_id, peer, context_id, task_id)
);
