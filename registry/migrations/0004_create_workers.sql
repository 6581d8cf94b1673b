-- The processes that take work, each for as long as it renews its lease. tenant_id is NULL for the registry's own,
-- which work for all tenants; others may have chosen an id that another tenant's has, too.
CREATE TABLE workers (
    tenant_id text COLLATE "C" REFERENCES tenants,
    worker_id text COLLATE "C" NOT NULL,
    queue_types text[] NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'draining')),
    in_hand text[] NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX workers_by_id ON workers (coalesce(tenant_id, ''), worker_id);
