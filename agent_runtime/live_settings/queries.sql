-- name: lock_settings
-- Processes of one agent that begin at once do so one after the other.
INSERT INTO agent_settings AS s (agent_id) VALUES (%(agent_id)s)
ON CONFLICT (agent_id) DO UPDATE SET agent_id = s.agent_id;

-- name: forget_settings_of_the_dead
-- Whoever is the first one of its agent begins with its environment.
UPDATE agent_settings
   SET summarize = NULL, window_size = NULL, summarize_threshold = NULL, card_url = NULL, revision = revision + 1,
       changed_at = now()
 WHERE agent_id = %(agent_id)s
   AND NOT EXISTS (
       SELECT FROM agent_processes p
        WHERE p.agent_id = %(agent_id)s AND p.process_id <> %(process_id)s AND p.lease_until > now());

-- name: find_settings
SELECT revision, summarize, window_size, summarize_threshold, card_url
  FROM agent_settings WHERE agent_id = %(agent_id)s;

-- name: find_registry_status
SELECT registry_status FROM agent_settings WHERE agent_id = %(agent_id)s;

-- name: set_registry_status
INSERT INTO agent_settings AS s (agent_id, registry_status) VALUES (%(agent_id)s, %(status)s)
ON CONFLICT (agent_id) DO UPDATE SET registry_status = excluded.registry_status
 WHERE s.registry_status IS DISTINCT FROM excluded.registry_status;

-- name: change_settings
INSERT INTO agent_settings AS s (agent_id, revision, summarize, window_size, summarize_threshold, card_url)
VALUES (%(agent_id)s, 1, %(summarize)s, %(window_size)s, %(summarize_threshold)s, %(card_url)s)
ON CONFLICT (agent_id) DO UPDATE
   SET revision = s.revision + 1,
       summarize = coalesce(excluded.summarize, s.summarize),
       window_size = coalesce(excluded.window_size, s.window_size),
       summarize_threshold = coalesce(excluded.summarize_threshold, s.summarize_threshold),
       card_url = coalesce(excluded.card_url, s.card_url),
       changed_at = now()
RETURNING revision, summarize, window_size, summarize_threshold, card_url;
