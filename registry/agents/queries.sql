-- name: find_agent_at
-- The agent that is registered with this URI; the oldest, should there be several.
SELECT agent_id FROM agents WHERE tenant_id = %(tenant_id)s AND uri = %(uri)s
 ORDER BY registered_at, agent_id LIMIT 1;

-- name: find_agent_of_card
-- The agent whose card was found at this URL before, or that has this URI; of several, the one with the card's id.
SELECT agent_id FROM agents
 WHERE tenant_id = %(tenant_id)s AND (card_url = %(card_url)s OR uri = %(uri)s)
 ORDER BY agent_id = coalesce(%(agent_id)s, '') DESC, card_url = %(card_url)s DESC NULLS LAST, registered_at, agent_id
 LIMIT 1;

-- name: lock_agent
-- Changes of one agent come one after the other; its heartbeats do not wait for them.
SELECT agent_id, uri, status, origin, card_url, has_instances, has_left, component_version FROM agents
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s
   FOR NO KEY UPDATE;

-- name: count_agents
SELECT count(*) AS agents FROM agents WHERE tenant_id = %(tenant_id)s;

-- name: has_agent
SELECT EXISTS (SELECT FROM agents WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s) AS found;

-- name: put_agent
-- An entry that is there keeps its status. Of what is discovered, the active are looked at again.
INSERT INTO agents AS a (
    tenant_id, agent_id, uri, origin, card, card_url, skills, protocols, own_labels, has_instances
) VALUES (
    %(tenant_id)s, %(agent_id)s, %(uri)s, %(origin)s, %(card)s, %(card_url)s, %(skills)s, %(protocols)s,
    %(own_labels)s, %(has_instances)s
)
ON CONFLICT (tenant_id, agent_id) DO UPDATE
   SET uri = excluded.uri, origin = excluded.origin, card = excluded.card, card_url = excluded.card_url,
       skills = excluded.skills, protocols = excluded.protocols, own_labels = excluded.own_labels,
       has_instances = a.has_instances OR excluded.has_instances,
       next_probe_at = CASE WHEN excluded.origin = 'discovered' AND a.status = 'active' THEN now() END,
       component_version = a.component_version + CASE
           WHEN (a.uri, a.card_url, a.card::text) IS DISTINCT FROM (excluded.uri, excluded.card_url, excluded.card::text)
           THEN 1 ELSE 0 END,
       updated_at = now()
RETURNING a.status, a.component_version, coalesce(
    (SELECT generation FROM component_generations g WHERE g.tenant_id = a.tenant_id), 0) AS component_generation;

-- name: set_status
-- A discovered agent is looked at while it is active, for the first time at once.
UPDATE agents
   SET status = %(status)s, has_left = %(has_left)s, updated_at = now(),
       next_probe_at = CASE WHEN origin = 'discovered' AND %(status)s = 'active' THEN coalesce(next_probe_at, now()) END
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s;

-- name: forget_drained
-- What a process said under the former status says nothing of the new one: it may have taken turns in between.
UPDATE agent_instances SET drained = false
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s AND drained;

-- name: change_labels
-- Those that are named; null takes one away. Of nulls, only those are kept that the agent would have again without them.
UPDATE agents
   SET set_labels = (
           SELECT coalesce(jsonb_object_agg(l.key, l.value), '{}') FROM jsonb_each(set_labels || %(labels)s) AS l
            WHERE l.value <> 'null' OR own_labels ? l.key),
       updated_at = now()
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s
RETURNING labels;

-- name: delete_agent
DELETE FROM agents WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s;

-- name: list_agents
-- At least one agent, and no more than there is memory for their cards, which are taken as they are stored.
SELECT page.agent_id, page.status, page.alive, page.health, page.card, page.labels, page.registered_at, page.updated_at,
       page.last_heartbeat_at, usage_of_agent(page.tenant_id, page.agent_id) AS usage, page.has_more
  FROM (SELECT a.*,
               sum(pg_column_size(a.card)) OVER by_id - pg_column_size(a.card) AS bytes_before,
               lead(a.agent_id) OVER by_id IS NOT NULL AS has_more
          FROM seen_agents a
         WHERE a.tenant_id = %(tenant_id)s AND a.agent_id > %(after)s
           AND (%(status)s::text IS NULL OR a.status = %(status)s)
           AND (%(skills)s::text[] IS NULL OR a.skills && %(skills)s)
           AND (%(protocol)s::text IS NULL OR a.protocols @> ARRAY[%(protocol)s::text])
           AND (%(alive)s::boolean IS NULL OR a.alive = %(alive)s)
           AND (%(labels)s::jsonb IS NULL OR a.labels @> %(labels)s::jsonb)
           AND (%(trust_domain)s::text IS NULL
                OR coalesce(a.card ->> 'trust_domain', a.card -> 'labels' ->> 'trust_domain') = %(trust_domain)s)
        WINDOW by_id AS (ORDER BY a.agent_id)
         ORDER BY a.agent_id LIMIT %(limit)s
       ) AS page
 WHERE page.bytes_before < %(bytes)s
 ORDER BY page.agent_id;

-- name: find_agent
SELECT agent_id, status, alive, health, card, labels, registered_at, updated_at, last_heartbeat_at,
       usage_of_agent(tenant_id, agent_id) AS usage
  FROM seen_agents
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s;

-- name: list_instances
SELECT incarnation, alive_until > (SELECT until FROM registry_hearing) AS living, health, health_reason,
       last_heartbeat_at, joined_at, drained
  FROM agent_instances
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s
 ORDER BY alive_until DESC, incarnation LIMIT %(limit)s;

-- name: note_sign_of_life
-- Other than by a heartbeat: health stays what the process has last said of itself.
INSERT INTO agent_instances AS i (tenant_id, agent_id, incarnation, heartbeat_seconds, alive_until, admin_url)
VALUES (
    %(tenant_id)s, %(agent_id)s, %(incarnation)s, coalesce(%(heartbeat_seconds)s, %(default_seconds)s),
    clock_timestamp() + silence_allowed(coalesce(%(heartbeat_seconds)s, %(default_seconds)s)), %(admin_url)s
)
ON CONFLICT (tenant_id, agent_id, incarnation) DO UPDATE
   SET admin_url = coalesce(excluded.admin_url, i.admin_url), heartbeat_seconds = coalesce(%(heartbeat_seconds)s, i.heartbeat_seconds),
       alive_until = clock_timestamp() + silence_allowed(coalesce(%(heartbeat_seconds)s, i.heartbeat_seconds));

-- name: beat
-- The common case for many at once: processes that live and are as healthy as before. One whose time has run out has
-- to register again; of those without a name, the one that beats need not be the one that was silent. A row that
-- somebody else works on is passed over, so that statements like this one never wait for each other.
WITH beats AS MATERIALIZED (
    SELECT * FROM unnest(
        %(tenant_ids)s::text[], %(agent_ids)s::text[], %(incarnations)s::text[], %(heartbeat_seconds)s::float8[],
        %(healths)s::text[], %(reasons)s::text[], %(drained)s::boolean[]
    ) AS b (tenant_id, agent_id, incarnation, heartbeat_seconds, health, reason, drained)
), usual AS MATERIALIZED (
    SELECT i.tenant_id, i.agent_id, i.incarnation, a.status, b.heartbeat_seconds, b.reason, b.drained
      FROM beats b
      JOIN agent_instances i USING (tenant_id, agent_id, incarnation, health)
      JOIN agents a USING (tenant_id, agent_id)
     WHERE i.alive_until > (SELECT until FROM registry_hearing) OR i.incarnation = ''
       FOR NO KEY UPDATE OF i SKIP LOCKED
)
UPDATE agent_instances i
   SET heartbeat_seconds = coalesce(u.heartbeat_seconds, i.heartbeat_seconds),
       alive_until = now() + silence_allowed(coalesce(u.heartbeat_seconds, i.heartbeat_seconds)),
       last_heartbeat_at = now(), health_reason = u.reason, drained = u.drained
  FROM usual u LEFT JOIN component_generations g USING (tenant_id)
 WHERE i.tenant_id = u.tenant_id AND i.agent_id = u.agent_id AND i.incarnation = u.incarnation
RETURNING i.tenant_id, i.agent_id, i.incarnation, i.health, u.status, coalesce(g.generation, 0) AS generation,
          EXISTS (SELECT FROM erasure_agents e
                   WHERE e.tenant_id = i.tenant_id AND e.agent_id = i.agent_id AND e.answered_at IS NULL) AS erasures;

-- name: has_erasures
SELECT EXISTS (SELECT FROM erasure_agents
                WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s AND answered_at IS NULL) AS found;

-- name: lock_instance
SELECT incarnation, alive_until > (SELECT until FROM registry_hearing) AS living, health, health_reason,
       last_heartbeat_at, joined_at, drained
  FROM agent_instances
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s AND incarnation = %(incarnation)s
   FOR NO KEY UPDATE;

-- name: put_heartbeat
INSERT INTO agent_instances AS i (
    tenant_id, agent_id, incarnation, heartbeat_seconds, alive_until, last_heartbeat_at, health, health_reason, drained
) VALUES (
    %(tenant_id)s, %(agent_id)s, %(incarnation)s, coalesce(%(heartbeat_seconds)s, %(default_seconds)s),
    clock_timestamp() + silence_allowed(coalesce(%(heartbeat_seconds)s, %(default_seconds)s)), clock_timestamp(),
    %(health)s, %(reason)s, %(drained)s
)
ON CONFLICT (tenant_id, agent_id, incarnation) DO UPDATE
   SET heartbeat_seconds = coalesce(%(heartbeat_seconds)s, i.heartbeat_seconds),
       alive_until = clock_timestamp() + silence_allowed(coalesce(%(heartbeat_seconds)s, i.heartbeat_seconds)),
       last_heartbeat_at = excluded.last_heartbeat_at, health = excluded.health,
       health_reason = excluded.health_reason, drained = excluded.drained;

-- name: remove_instance
DELETE FROM agent_instances
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s AND incarnation = %(incarnation)s;

-- name: has_living_instance
SELECT EXISTS (
       SELECT FROM agent_instances
        WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s
          AND alive_until > (SELECT until FROM registry_hearing)
       ) AS found;

-- name: keep_pulse
-- While no registry works, no agent can be heard. So when the last beat of the pulse is longer ago than the longest
-- gap, whoever was alive then gets a whole period to be heard of again, and nobody who was not. A registry that begins
-- cannot tell a short gap from the pause between two beats of another one, so it adds just that time: of registries
-- that begin one after the other, or again and again, none keeps the dead alive. Registries on one database take
-- turns at the row: the first one after a gap grants the period, the others see no gap.
WITH last AS MATERIALIZED (
    SELECT beat_at, clock_timestamp() - beat_at AS gap FROM registry_pulse FOR UPDATE
), beat AS (
    UPDATE registry_pulse p SET beat_at = clock_timestamp() FROM last WHERE p.beat_at = last.beat_at
), spared AS (
    UPDATE agent_instances i
       SET alive_until = CASE WHEN last.gap > longest_gap()
               THEN greatest(i.alive_until, clock_timestamp() + silence_allowed(i.heartbeat_seconds))
               ELSE i.alive_until + last.gap END
      FROM last
     WHERE (last.gap > longest_gap() OR %(begins)s) AND i.alive_until > last.beat_at
    RETURNING 1
)
SELECT extract(epoch FROM last.gap)::float8 AS gap_seconds,
       CASE WHEN last.gap > longest_gap() THEN (SELECT count(*) FROM spared) ELSE 0 END AS spared
  FROM last;

-- name: note_overdue
-- Whoever became overdue, or is no longer, since this was last asked, by whichever registry. A row that another one
-- works on is left to the next time.
WITH living AS MATERIALIZED (
    SELECT DISTINCT tenant_id, agent_id FROM agent_instances
     WHERE alive_until > (SELECT until FROM registry_hearing)
), gone AS (
    SELECT a.tenant_id, a.agent_id FROM agents a
     WHERE a.status = 'active' AND NOT a.is_overdue
       AND NOT EXISTS (SELECT FROM living l WHERE l.tenant_id = a.tenant_id AND l.agent_id = a.agent_id)
       FOR NO KEY UPDATE OF a SKIP LOCKED
), back AS (
    SELECT a.tenant_id, a.agent_id FROM agents a
     WHERE a.is_overdue
       AND (a.status <> 'active'
            OR EXISTS (SELECT FROM living l WHERE l.tenant_id = a.tenant_id AND l.agent_id = a.agent_id))
       FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE agents a SET is_overdue = NOT a.is_overdue
  FROM (TABLE gone UNION ALL TABLE back) AS c WHERE a.tenant_id = c.tenant_id AND a.agent_id = c.agent_id
RETURNING a.tenant_id, a.agent_id, a.status, a.is_overdue;

-- name: count_by_status
-- Only of the active has it to be seen whether they are alive; the others are counted in an index.
SELECT status, false AS alive, count(*) AS agents FROM agents WHERE status <> 'active' GROUP BY status
 UNION ALL
SELECT status, alive, count(*) FROM seen_agents WHERE status = 'active' GROUP BY status, alive;

-- name: purge_instances
WITH silent AS MATERIALIZED (
    SELECT tenant_id, agent_id, incarnation FROM agent_instances
     WHERE alive_until < (SELECT until FROM registry_hearing) - make_interval(secs => %(silent_seconds)s)
     LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM agent_instances i USING silent s
 WHERE i.tenant_id = s.tenant_id AND i.agent_id = s.agent_id AND i.incarnation = s.incarnation;

-- name: list_purgeable
SELECT a.tenant_id, a.agent_id FROM agents a
 WHERE a.has_instances AND a.updated_at < now() - make_interval(secs => %(silent_seconds)s)
   AND NOT EXISTS (SELECT FROM agent_instances i WHERE i.tenant_id = a.tenant_id AND i.agent_id = a.agent_id)
   AND NOT EXISTS (SELECT FROM unnest(%(but_tenants)s::text[], %(but_agents)s::text[]) AS but (tenant_id, agent_id)
                    WHERE but.tenant_id = a.tenant_id AND but.agent_id = a.agent_id)
 ORDER BY a.tenant_id, a.agent_id LIMIT %(limit)s;

-- name: purge_agent
-- Unless it has a process again, or somebody has it in hand.
WITH left_behind AS MATERIALIZED (
    SELECT a.tenant_id, a.agent_id FROM agents a
     WHERE a.tenant_id = %(tenant_id)s AND a.agent_id = %(agent_id)s
       AND a.has_instances AND a.updated_at < now() - make_interval(secs => %(silent_seconds)s)
       AND NOT EXISTS (
           SELECT FROM agent_instances i WHERE i.tenant_id = a.tenant_id AND i.agent_id = a.agent_id)
       FOR UPDATE OF a SKIP LOCKED
)
DELETE FROM agents a USING left_behind l WHERE a.tenant_id = l.tenant_id AND a.agent_id = l.agent_id
RETURNING a.tenant_id, a.agent_id, a.uri;

-- name: claim_probes
-- Agents whose cards are to be looked for now. Whoever claims one has it for most of the interval, also when it dies
-- meanwhile. Those that are alive come first: the others may be many, and slow.
WITH due AS MATERIALIZED (
    SELECT a.tenant_id, a.agent_id
      FROM agents a JOIN tenants t USING (tenant_id)
     WHERE a.next_probe_at <= now() AND t.status = 'active'
     ORDER BY EXISTS (
           SELECT FROM agent_instances i
            WHERE i.tenant_id = a.tenant_id AND i.agent_id = a.agent_id AND i.alive_until > now()) DESC,
           a.next_probe_at
     LIMIT %(limit)s
       FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE agents a SET next_probe_at = now() + make_interval(secs => %(seconds)s * (0.9 + 0.1 * random()))
  FROM due d WHERE a.tenant_id = d.tenant_id AND a.agent_id = d.agent_id
RETURNING a.tenant_id, a.agent_id, a.uri, a.card_url, a.card ->> 'id' AS card_id;

-- name: update_probed_card
UPDATE agents
   SET uri = %(uri)s, card = %(card)s, skills = %(skills)s, protocols = %(protocols)s, own_labels = %(own_labels)s,
       component_version = component_version + 1, updated_at = now()
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s AND card <> %(card)s;

-- name: list_trace
-- What the agent has told the registry and what was decided about it, and what executions have asked of it.
SELECT at, direction, event_type, summary
  FROM (
       (SELECT created_at AS at, 'outbound' AS direction, event_type, 'by ' || actor_id AS summary
          FROM audit_entries
         WHERE tenant_id = %(tenant_id)s AND subject = 'agent:' || %(agent_id)s
         ORDER BY sequence DESC LIMIT %(limit)s)
        UNION ALL
       (SELECT v.created_at, CASE v.type WHEN 'agent_tool_invoked' THEN 'inbound' ELSE 'outbound' END, v.type,
               'exec_' || replace(v.execution_id::text, '-', '') || ' ' || coalesce(v.node_id, '')
          FROM execution_events v JOIN executions e USING (execution_id)
         WHERE v.data ->> 'agent_id' = %(agent_id)s AND e.tenant_id = %(tenant_id)s
         ORDER BY v.created_at DESC LIMIT %(limit)s)
       ) AS both_ways
 ORDER BY at DESC LIMIT %(limit)s;
