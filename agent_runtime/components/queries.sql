-- name: list_components
SELECT kind, component_id, version, digest, content FROM agent_components WHERE agent_id = %(agent_id)s;

-- name: put_component
INSERT INTO agent_components (agent_id, kind, component_id, version, digest, content)
VALUES (%(agent_id)s, %(kind)s, %(component_id)s, %(version)s, %(digest)s, %(content)s)
ON CONFLICT (agent_id, kind, component_id) DO UPDATE
   SET version = excluded.version, digest = excluded.digest, content = excluded.content, loaded_at = now();
