-- What agents are grouped by. own_labels come with the registration; set_labels is what operators have said since, and
-- holds against them: null there takes one of its own from the agent. labels is what is left of both.
ALTER TABLE agents
    ADD COLUMN own_labels jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN set_labels jsonb NOT NULL DEFAULT '{}';

-- JamJet's cards have had them all along.
UPDATE agents SET own_labels = (
       SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(card -> 'labels')
        WHERE jsonb_typeof(value) = 'string')
 WHERE jsonb_typeof(card -> 'labels') = 'object' AND card -> 'labels' <> '{}';

ALTER TABLE agents
    ADD COLUMN labels jsonb NOT NULL GENERATED ALWAYS AS (jsonb_strip_nulls(own_labels || set_labels)) STORED;
CREATE INDEX agents_by_label ON agents USING gin (labels jsonb_path_ops);

CREATE OR REPLACE VIEW seen_agents AS
SELECT a.tenant_id, a.agent_id, a.uri, a.status, a.status = 'active' AND seen.works AS alive,
       CASE WHEN seen.works THEN 'ok' WHEN seen.lives THEN 'failing' END AS health,
       a.card, a.skills, a.protocols, a.is_overdue, a.registered_at, a.updated_at, seen.last_heartbeat_at, a.labels
  FROM agents a
 CROSS JOIN LATERAL (
       SELECT coalesce(bool_or(i.lives), false) AS lives,
              coalesce(bool_or(i.lives AND i.health = 'ok'), false) AS works,
              max(i.last_heartbeat_at) AS last_heartbeat_at
         FROM (SELECT alive_until > (SELECT until FROM registry_hearing) AS lives, health, last_heartbeat_at
                 FROM agent_instances
                WHERE tenant_id = a.tenant_id AND agent_id = a.agent_id) AS i
       ) AS seen;
