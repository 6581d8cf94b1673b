-- name: lock_component
-- Whoever else changes this component waits from here to the end of the transaction. One that was never there gets a
-- row, which nobody sees unless the transaction makes a component of it.
INSERT INTO components (tenant_id, kind, component_id) VALUES (%(tenant_id)s, %(kind)s, %(component_id)s)
ON CONFLICT (tenant_id, kind, component_id) DO UPDATE SET kind = excluded.kind
RETURNING version, present;

-- name: add_version
INSERT INTO component_versions (tenant_id, kind, component_id, version, digest, content, rolled_back_to, created_by)
VALUES (%(tenant_id)s, %(kind)s, %(component_id)s, %(version)s, %(digest)s, %(content)s::json, %(rolled_back_to)s,
        %(created_by)s);

-- name: set_current
UPDATE components SET version = %(version)s, present = true
 WHERE tenant_id = %(tenant_id)s AND kind = %(kind)s AND component_id = %(component_id)s;

-- name: delete_component
UPDATE components SET present = false
 WHERE tenant_id = %(tenant_id)s AND kind = %(kind)s AND component_id = %(component_id)s;

-- name: mark_deleted
UPDATE component_versions SET deleted_at = now()
 WHERE tenant_id = %(tenant_id)s AND kind = %(kind)s AND component_id = %(component_id)s AND version = %(version)s;

-- name: find_component
SELECT v.kind, v.component_id, v.version, v.digest, v.content, v.created_at, v.created_by
  FROM components c JOIN component_versions v USING (tenant_id, kind, component_id, version)
 WHERE c.tenant_id = %(tenant_id)s AND c.kind = %(kind)s AND c.component_id = %(component_id)s AND c.present;

-- name: find_version
SELECT kind, component_id, version, digest, content, created_at, created_by
  FROM component_versions
 WHERE tenant_id = %(tenant_id)s AND kind = %(kind)s AND component_id = %(component_id)s AND version = %(version)s;

-- name: list_components
SELECT c.kind, c.component_id, v.version, v.digest, v.created_at AS updated_at, v.created_by AS updated_by
  FROM components c JOIN component_versions v USING (tenant_id, kind, component_id, version)
 WHERE c.tenant_id = %(tenant_id)s AND c.present
   AND (%(kind)s::text IS NULL OR c.kind = %(kind)s)
   AND (c.kind, c.component_id) > (%(after_kind)s, %(after_id)s)
 ORDER BY c.kind, c.component_id LIMIT %(limit)s;

-- name: list_versions
SELECT version, digest, rolled_back_to, created_at, created_by, deleted_at IS NOT NULL AS deleted
  FROM component_versions
 WHERE tenant_id = %(tenant_id)s AND kind = %(kind)s AND component_id = %(component_id)s
   AND (%(before)s::int IS NULL OR version < %(before)s)
 ORDER BY version DESC LIMIT %(limit)s;

-- name: find_agent
SELECT agent_id, uri, name, card_url, version, card_hash, updated_at
  FROM agent_components WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s;

-- name: list_agents
SELECT agent_id, uri, name, card_url, version, card_hash, updated_at
  FROM agent_components WHERE tenant_id = %(tenant_id)s AND agent_id > %(after)s
 ORDER BY agent_id LIMIT %(limit)s;

-- name: resolve_components
-- Without the document for those who have it. place is that of what was asked for, from 1.
SELECT w.place, v.version, v.digest, CASE WHEN v.digest IS DISTINCT FROM w.digest THEN v.content END AS content
  FROM unnest(%(kinds)s::text[], %(component_ids)s::text[], %(digests)s::text[])
       WITH ORDINALITY AS w (kind, component_id, digest, place)
  JOIN components c USING (kind, component_id)
  JOIN component_versions v USING (tenant_id, kind, component_id, version)
 WHERE c.tenant_id = %(tenant_id)s AND c.present;

-- name: resolve_agents
SELECT agent_id, uri, name, card_url, version, card_hash, updated_at
  FROM agent_components WHERE tenant_id = %(tenant_id)s AND agent_id = ANY(%(agent_ids)s);

-- name: lock_agents
-- Nobody changes them until the transaction ends. In the order of their ids, so that no two who ask for several wait
-- for each other.
SELECT agent_id FROM agents
 WHERE tenant_id = %(tenant_id)s AND agent_id = ANY(%(agent_ids)s)
 ORDER BY agent_id FOR SHARE;

-- name: list_used_agents
-- Which of these somebody is known to use.
SELECT DISTINCT component_id FROM component_uses
 WHERE tenant_id = %(tenant_id)s AND kind = 'agent' AND component_id = ANY(%(agent_ids)s);

-- name: forget_uses
DELETE FROM component_uses
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s AND incarnation = %(incarnation)s;

-- name: add_uses
INSERT INTO component_uses (tenant_id, agent_id, incarnation, kind, component_id, version, digest, status, error)
SELECT %(tenant_id)s, %(agent_id)s, %(incarnation)s, u.*
  FROM unnest(%(kinds)s::text[], %(component_ids)s::text[], %(versions)s::int[], %(digests)s::text[],
              %(statuses)s::text[], %(errors)s::text[]) AS u;

-- name: count_uses
-- By the processes that live. The agents of a label are found first, and only their uses are read.
SELECT CASE WHEN u.status <> 'ready' THEN u.status WHEN u.digest = %(digest)s THEN 'current' ELSE 'behind' END AS state,
       count(*) AS uses
  FROM component_uses u JOIN agent_instances i USING (tenant_id, agent_id, incarnation)
 WHERE u.tenant_id = %(tenant_id)s AND u.kind = %(kind)s AND u.component_id = %(component_id)s
   AND i.alive_until > (SELECT until FROM registry_hearing)
   AND (%(labels)s::jsonb IS NULL OR u.agent_id = ANY(ARRAY(
       SELECT agent_id FROM agents WHERE tenant_id = %(tenant_id)s AND labels @> %(labels)s::jsonb)))
 GROUP BY state;

-- name: list_uses
SELECT u.agent_id, u.incarnation, i.alive_until > (SELECT until FROM registry_hearing) AS alive, u.version, u.digest,
       CASE WHEN u.status <> 'ready' THEN u.status WHEN u.digest = %(digest)s THEN 'current' ELSE 'behind' END AS state,
       u.error, u.reported_at
  FROM component_uses u JOIN agent_instances i USING (tenant_id, agent_id, incarnation)
 WHERE u.tenant_id = %(tenant_id)s AND u.kind = %(kind)s AND u.component_id = %(component_id)s
   AND (u.agent_id, u.incarnation) > (%(after_agent)s, %(after_incarnation)s)
   AND (%(labels)s::jsonb IS NULL OR u.agent_id = ANY(ARRAY(
       SELECT agent_id FROM agents WHERE tenant_id = %(tenant_id)s AND labels @> %(labels)s::jsonb)))
 ORDER BY u.agent_id, u.incarnation LIMIT %(limit)s;

-- name: list_uses_of_agent
-- By its processes that live; beside what each runs, which version there is now.
SELECT u.kind, u.component_id, u.incarnation, u.version, u.status, u.error, u.reported_at,
       CASE WHEN c.present THEN c.version END AS latest
  FROM component_uses u
  JOIN agent_instances i USING (tenant_id, agent_id, incarnation)
  LEFT JOIN components c USING (tenant_id, kind, component_id)
 WHERE u.tenant_id = %(tenant_id)s AND u.agent_id = %(agent_id)s
   AND i.alive_until > (SELECT until FROM registry_hearing)
 ORDER BY u.kind, u.component_id, u.incarnation LIMIT %(limit)s;
