-- What workers outside the registry are asked to do, each item for a node that waits; it has the id of the wait, and
-- goes with it. lease_fence counts the workers that have taken it: only the latest of them can settle it.
CREATE TABLE work_items (
    work_item_id uuid PRIMARY KEY REFERENCES execution_waits (wait_id) ON DELETE CASCADE,
    tenant_id text COLLATE "C" NOT NULL,
    execution_id uuid NOT NULL,
    node_id text NOT NULL,
    queue_type text NOT NULL,
    payload jsonb NOT NULL,
    attempt int NOT NULL,
    idempotency_key text NOT NULL,
    lease_seconds double precision,
    worker_id text,
    lease_fence bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    refused_by text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX work_items_by_queue ON work_items (tenant_id, queue_type, created_at);
