-- next_run_at is when the workflow is started next; whoever starts it moves it on in the same transaction.
CREATE TABLE cron_jobs (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    name text COLLATE "C" NOT NULL,
    cron_expression text NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    workflow_version text,
    input jsonb NOT NULL,
    enabled boolean NOT NULL,
    next_run_at timestamptz NOT NULL,
    last_run_at timestamptz,
    last_execution_id uuid,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, name)
);
CREATE INDEX cron_jobs_by_next_run ON cron_jobs (next_run_at) WHERE enabled;

-- Bytes by their SHA-256: the same ones are kept once.
CREATE TABLE artifacts (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    hash bytea NOT NULL,
    media_type text NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, hash)
);
