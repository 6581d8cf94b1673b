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
