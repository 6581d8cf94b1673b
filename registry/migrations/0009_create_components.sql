-- The components of a tenant. version is that of the latest document; the row is the lock under which documents are
-- added. present: it is there to be used. A deleted one keeps its row and its history, and goes on counting.
CREATE TABLE components (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('model', 'prompt', 'mcp')),
    component_id text COLLATE "C" NOT NULL,
    version int NOT NULL DEFAULT 0,
    present boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, kind, component_id)
);
CREATE INDEX components_present ON components (tenant_id, kind, component_id) WHERE present;

-- Documents, never changed but for deleted_at, when the component was deleted at that version. As json and not jsonb:
-- the digest is that of the text, and jsonb would write numbers in its own way.
CREATE TABLE component_versions (
    tenant_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    component_id text COLLATE "C" NOT NULL,
    version int NOT NULL,
    digest text COLLATE "C" NOT NULL,
    content json NOT NULL,
    rolled_back_to int,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, kind, component_id, version),
    FOREIGN KEY (tenant_id, kind, component_id) REFERENCES components ON DELETE CASCADE
);

-- What the processes of agents say that they run of the components that they ask for. version and digest are NULL
-- where they run none of the registry's; component_id may name what is not there.
CREATE TABLE component_uses (
    tenant_id text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    incarnation text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    component_id text COLLATE "C" NOT NULL,
    version int,
    digest text COLLATE "C",
    status text COLLATE "C" NOT NULL CHECK (status IN ('ready', 'fallback', 'failed')),
    error text NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, agent_id, incarnation, kind, component_id),
    FOREIGN KEY (tenant_id, agent_id, incarnation) REFERENCES agent_instances ON DELETE CASCADE
);
CREATE INDEX component_uses_by_component ON component_uses (tenant_id, kind, component_id, agent_id, incarnation);

-- Counts the changes of what a tenant's agents may use; heartbeats are answered with it. None yet: 0.
CREATE TABLE component_generations (
    tenant_id text COLLATE "C" PRIMARY KEY REFERENCES tenants,
    generation bigint NOT NULL
) WITH (fillfactor = 50);

-- Counts the changes of what an agent is to those who call it.
ALTER TABLE agents ADD COLUMN component_version int NOT NULL DEFAULT 1;

-- Agents as components of others. One that was put out of service is none; one whose last process has left may come
-- back any time, and is what it was.
CREATE VIEW agent_components AS
SELECT tenant_id, agent_id, uri, coalesce(nullif(card ->> 'name', ''), agent_id) AS name, card_url,
       component_version AS version, encode(sha256(convert_to(card::text, 'UTF8')), 'hex') AS card_hash, updated_at
  FROM agents
 WHERE status <> 'deactivated' OR has_left;
