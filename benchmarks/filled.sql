-- name: registry_token
INSERT INTO tokens (token_id, tenant_id, role, token_hash)
VALUES ('tok_benchmark', 'default', 'operator', %(token_hash)s);

-- name: registered_agents
WITH made AS (
    INSERT INTO agents (tenant_id, agent_id, uri, status, origin, card, skills, protocols, has_instances)
    SELECT 'default', 'agent-' || n, 'http://agent-' || n || '.test', 'active', 'registered',
           jsonb_build_object('id', 'agent-' || n, 'name', 'Agent ' || n, 'uri', 'http://agent-' || n || '.test'),
           '{chat}', '{a2a}', true
      FROM generate_series(0, %(agents)s - 1) AS n
    RETURNING agent_id
)
INSERT INTO agent_instances (tenant_id, agent_id, incarnation, heartbeat_seconds, alive_until)
SELECT 'default', agent_id, 'a', 10, now() + interval '1 hour' FROM made;

-- name: threads
-- Owned by `agent_id`, with nothing said in them.
WITH owner AS (
    INSERT INTO agent_owners (agent_id) VALUES (%(agent_id)s) RETURNING owner_key
)
INSERT INTO agent_threads (thread_id, owner_key)
SELECT %(agent_id)s || '-' || md5(n::text), owner_key FROM owner, generate_series(1, %(threads)s) AS n ORDER BY n;

-- name: checkpoints
-- Ten for each thread, as three turns of a graph with one node leave behind: about a kilobyte each, with metadata.
INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
SELECT t.thread_id, '', '1f0c0000-0000-6000-8000-' || lpad(n::text, 12, '0'), NULL, NULL,
       jsonb_build_object('v', 4, 'id', n, 'ts', '2026-01-01T00:00:00.000000+00:00',
                          'channel_versions', jsonb_build_object('__start__', md5(n::text), 'messages', md5(n::text || 'm'),
                                                                 'branch:to:chat', md5(n::text || 'b')),
                          'versions_seen', jsonb_build_object('chat', jsonb_build_object('branch:to:chat', md5(n::text || 'b')),
                                                              '__start__', jsonb_build_object('__start__', md5(n::text)))),
       jsonb_build_object('step', n, 'source', 'loop', 'parents', '{}'::jsonb, 'turn', n)
  FROM agent_threads t, generate_series(1, 10) AS n
 WHERE t.thread_id LIKE %(agent_id)s || '-%%' ORDER BY n, t.position;

-- name: checkpoint_blobs
INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
SELECT t.thread_id, '', channel, lpad(n::text, 32, '0') || '.' || md5(n::text), 'msgpack',
       CASE channel WHEN 'messages' THEN decode(repeat(md5(n::text || t.thread_id), 12 * n), 'hex') END
  FROM agent_threads t, generate_series(1, 10) AS n, unnest(ARRAY['messages', 'branch:to:chat']) AS channel
 WHERE t.thread_id LIKE %(agent_id)s || '-%%' ORDER BY n, t.position;

-- name: checkpoint_writes
INSERT INTO checkpoint_writes (
    thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
)
SELECT t.thread_id, '', '1f0c0000-0000-6000-8000-' || lpad(n::text, 12, '0'), md5(n::text), idx, 'messages', 'msgpack',
       decode(repeat(md5(n::text || t.thread_id), 12), 'hex'), ''
  FROM agent_threads t, generate_series(1, 10) AS n, generate_series(0, 1) AS idx
 WHERE t.thread_id LIKE %(agent_id)s || '-%%' ORDER BY n, t.position;

-- name: tasks
-- Three for each thread, their events tidied away.
INSERT INTO a2a_tasks (task_id, thread_id, owner_key, state, version, task)
SELECT md5(t.thread_id || n), t.thread_id, t.owner_key, 'TASK_STATE_COMPLETED', 4, decode(repeat(md5(n::text), 30), 'hex')
  FROM agent_threads t, generate_series(1, 3) AS n
 WHERE t.thread_id LIKE %(agent_id)s || '-%%' ORDER BY n, t.position;

-- name: idle_agents
-- As a registry collects them: a thousand are active and live, the others have been deactivated.
WITH made AS (
    INSERT INTO agents (tenant_id, agent_id, uri, status, origin, card, skills, protocols, has_instances)
    SELECT 'default', 'agent-' || lpad(n::text, 7, '0'), 'http://agent-' || n || '.test',
           CASE WHEN n %% (%(agents)s / 1000) = 0 THEN 'active' ELSE 'deactivated' END, 'registered',
           jsonb_build_object('id', 'agent-' || lpad(n::text, 7, '0'), 'name', 'Agent ' || n,
                              'uri', 'http://agent-' || n || '.test'),
           '{chat}', '{a2a}', false
      FROM generate_series(1, %(agents)s) AS n
    RETURNING agent_id, status
)
INSERT INTO agent_instances (tenant_id, agent_id, incarnation, heartbeat_seconds, alive_until)
SELECT 'default', agent_id, 'a', 3600, now() + interval '1 day' FROM made WHERE status = 'active';

-- name: executions
WITH workflow AS (
    INSERT INTO workflows (tenant_id, workflow_id) VALUES ('default', 'done')
), revision AS (
    INSERT INTO workflow_revisions (tenant_id, workflow_id, version, revision, digest, document)
    VALUES ('default', 'done', '1.0.0', 1, '', '{}') RETURNING revision_id
)
INSERT INTO executions (execution_id, tenant_id, revision_id, workflow_id, workflow_version, status, initial_input,
                        state, labels, created_at, started_at, completed_at)
SELECT gen_random_uuid(), 'default', revision_id, 'done', '1.0.0',
       CASE WHEN n %% 10 = 0 THEN 'failed' ELSE 'completed' END,
       '{"question": "how much"}', '{"question": "how much", "answer": "a lot"}', '{}', now() - interval '1 day',
       now() - interval '1 day', now() - interval '1 day'
  FROM revision, generate_series(1, %(executions)s) AS n;

-- name: audit_entries
WITH written AS (
    INSERT INTO audit_entries (tenant_id, sequence, created_at, event_type, actor_type, actor_id, role, subject, detail,
                               previous_hash, hash)
    SELECT 'default', n, now(), CASE WHEN n %% 10 = 0 THEN 'agent_paused' ELSE 'agent_updated' END, 'token',
           'tok_' || n %% 20, 'developer', 'agent:agent-' || n %% 1000, '{"uri": "http://agent.test"}',
           sha256(n::text::bytea), sha256(n::text::bytea)
      FROM generate_series(1, %(entries)s) AS n
    RETURNING event_type, actor_id
), counted AS (
    INSERT INTO audit_totals SELECT 'default', event_type, actor_id, count(*) FROM written GROUP BY event_type, actor_id
)
INSERT INTO audit_chains VALUES ('default', %(entries)s, '\x');
