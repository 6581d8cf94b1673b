-- name: list_public_agents
-- Agents that are alive, of the platform's own tenant and of those that show theirs to everybody.
SELECT a.tenant_id, a.agent_id, coalesce(a.card ->> 'name', a.agent_id) AS name, a.uri, a.protocols
  FROM seen_agents a JOIN tenants t USING (tenant_id)
 WHERE a.alive AND t.status = 'active'
   AND (t.tenant_id = %(platform)s OR t.policy @> '{"public_agents": true}')
 ORDER BY a.tenant_id <> %(platform)s, a.tenant_id, a.agent_id
 LIMIT %(limit)s;
