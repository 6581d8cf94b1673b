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

-- When a registry process was last seen to work; each of them touches the row every second.
CREATE TABLE registry_pulse (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    beat_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
INSERT INTO registry_pulse DEFAULT VALUES;

-- When there was no beat of the pulse for longer than this, it was not late: no registry worked.
CREATE FUNCTION longest_gap() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT interval '2.5 seconds' $$;

-- Up to when silence counts. While no registry works, or all were held up, or the database was away, no agent can be
-- heard; so before one of them has noticed that, in whichever order it answers requests, nobody is taken for dead.
CREATE VIEW registry_hearing AS
SELECT CASE WHEN now() - beat_at > longest_gap() THEN beat_at ELSE now() END AS until FROM registry_pulse;

-- Agents as they are right now. One is alive when it is active and one of its processes lives and is healthy.
-- health is that of the processes that live; NULL when none does.
CREATE VIEW seen_agents AS
SELECT a.tenant_id, a.agent_id, a.uri, a.status, a.status = 'active' AND seen.works AS alive,
       CASE WHEN seen.works THEN 'ok' WHEN seen.lives THEN 'failing' END AS health,
       a.card, a.skills, a.protocols, a.is_overdue, a.registered_at, a.updated_at, seen.last_heartbeat_at
  FROM agents a
 CROSS JOIN LATERAL (
       SELECT coalesce(bool_or(i.lives), false) AS lives,
              coalesce(bool_or(i.lives AND i.health = 'ok'), false) AS works,
              max(i.last_heartbeat_at) AS last_heartbeat_at
         FROM (SELECT alive_until > (SELECT until FROM registry_hearing) AS lives, health, last_heartbeat_at
                 FROM agent_instances
                WHERE tenant_id = a.tenant_id AND agent_id = a.agent_id) AS i
       ) AS seen;
