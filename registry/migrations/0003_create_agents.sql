-- How long an agent that means to be heard of every so many seconds may be silent: two beats may be lost, and what
-- is killed shows within the third.
CREATE FUNCTION silence_allowed(heartbeat_seconds double precision) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT make_interval(secs => 2.5 * heartbeat_seconds) $$;

-- card is the document as it was given; skills and protocols, in lower case, are what the lists are filtered by.
-- card_url is where a discovered agent's card was found, and is looked for again.
-- has_left: nobody has deactivated the agent, its last process has left. One that comes back makes it active again.
-- has_instances: processes of the agent announce themselves, so an entry that none is left of is of no use.
-- is_overdue: the log has told that the agent, which should be heard of, is not.
CREATE TABLE agents (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    agent_id text COLLATE "C" NOT NULL,
    uri text NOT NULL,
    status text NOT NULL DEFAULT 'registered' CHECK (status IN ('registered', 'active', 'paused', 'deactivated')),
    origin text NOT NULL CHECK (origin IN ('registered', 'discovered')),
    card jsonb NOT NULL,
    card_url text,
    skills text[] NOT NULL,
    protocols text[] NOT NULL,
    has_instances boolean NOT NULL DEFAULT false,
    has_left boolean NOT NULL DEFAULT false,
    is_overdue boolean NOT NULL DEFAULT false,
    next_probe_at timestamptz,
    registered_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, agent_id)
);
-- As it is, not compressed, so that its size says how much memory a list of cards takes.
ALTER TABLE agents ALTER COLUMN card SET STORAGE EXTERNAL;
CREATE INDEX agents_by_uri ON agents USING hash (uri);
CREATE INDEX agents_by_card_url ON agents USING hash (card_url);
CREATE INDEX agents_by_skill ON agents USING gin (skills);
CREATE INDEX agents_by_protocol ON agents USING gin (protocols);
CREATE INDEX agents_by_probe ON agents (next_probe_at) WHERE next_probe_at IS NOT NULL;

-- The processes of an agent, each alive until alive_until unless it is heard of again.
-- incarnation is the name that a process has made up for itself; '' stands for all those that give none, and for an
-- agent whose card the registry fetches to see that it is there.
-- A heartbeat changes no indexed column and finds room in its page, so it writes one small row version.
CREATE TABLE agent_instances (
    tenant_id text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    incarnation text COLLATE "C" NOT NULL,
    heartbeat_seconds double precision NOT NULL,
    alive_until timestamptz NOT NULL,
    last_heartbeat_at timestamptz,
    health text NOT NULL DEFAULT 'ok' CHECK (health IN ('ok', 'failing')),
    health_reason text NOT NULL DEFAULT '',
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, agent_id, incarnation),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents ON DELETE CASCADE
) WITH (fillfactor = 50);

-- Agents as they are right now. One is alive when it is active and one of its processes lives and is healthy.
-- health is that of the processes that live; NULL when none does.
CREATE VIEW seen_agents AS
SELECT a.tenant_id, a.agent_id, a.uri, a.status, a.status = 'active' AND seen.works AS alive,
       CASE WHEN seen.works THEN 'ok' WHEN seen.lives THEN 'failing' END AS health,
       a.card, a.skills, a.protocols, a.is_overdue, a.registered_at, a.updated_at, seen.last_heartbeat_at
  FROM agents a
 CROSS JOIN LATERAL (
       SELECT coalesce(bool_or(i.alive_until > now()), false) AS lives,
              coalesce(bool_or(i.alive_until > now() AND i.health = 'ok'), false) AS works,
              max(i.last_heartbeat_at) AS last_heartbeat_at
         FROM agent_instances i WHERE i.tenant_id = a.tenant_id AND i.agent_id = a.agent_id
       ) AS seen;

-- When a registry process was last seen to work; see registry/agents/queries.sql for what follows from a gap.
CREATE TABLE registry_pulse (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    beat_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
INSERT INTO registry_pulse DEFAULT VALUES;
