-- The workflows of a tenant. The row is the lock under which a workflow gets revisions, and says which of them runs
-- when nobody asks for a version: which one that is depends on all versions together (see registry/workflows).
CREATE TABLE workflows (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    workflow_id text COLLATE "C" NOT NULL,
    latest_revision_id bigint,
    PRIMARY KEY (tenant_id, workflow_id)
);

-- Never changed, since executions go on with the revision that they began with. The document is kept as it was sent,
-- as json and not jsonb: the order of its nodes means something where it does not say where to start.
CREATE TABLE workflow_revisions (
    revision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    revision int NOT NULL,
    name text,
    description text,
    digest bytea NOT NULL,
    document json NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, workflow_id, version, revision),
    FOREIGN KEY (tenant_id, workflow_id) REFERENCES workflows ON DELETE CASCADE
);

ALTER TABLE workflows ADD FOREIGN KEY (latest_revision_id) REFERENCES workflow_revisions;
