-- Which peers were asked in a thread: they know what was said, and are told when it is erased. task_id is empty for the
-- peer itself; the others are tasks there that have not ended, as far as is known.
CREATE TABLE agent_peer_tasks (
    thread_id text COLLATE "C" NOT NULL REFERENCES agent_threads,
    peer text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (thread_id, peer, task_id)
);
