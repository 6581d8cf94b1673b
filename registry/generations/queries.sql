-- name: get_generation
SELECT coalesce((SELECT generation FROM component_generations WHERE tenant_id = %(tenant_id)s), 0) AS generation;

-- name: advance_generation
-- To be called late in a transaction: whoever else changes a component of the tenant waits from here to its end.
INSERT INTO component_generations AS g (tenant_id, generation) VALUES (%(tenant_id)s, 1)
ON CONFLICT (tenant_id) DO UPDATE SET generation = g.generation + 1
RETURNING generation;

-- name: advance_generation_for_agent
-- Only when a process says that it uses the agent; else nobody waits for anybody.
INSERT INTO component_generations AS g (tenant_id, generation)
SELECT %(tenant_id)s, 1
 WHERE EXISTS (
       SELECT FROM component_uses
        WHERE tenant_id = %(tenant_id)s AND kind = 'agent' AND component_id = %(agent_id)s)
ON CONFLICT (tenant_id) DO UPDATE SET generation = g.generation + 1
RETURNING generation;

