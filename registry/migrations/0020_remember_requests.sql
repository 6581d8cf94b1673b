-- Requests that their callers may send again, by the hash of caller, route and key. The row is written in the transaction
-- that does what is asked, before anything is locked. It goes after `IDEMPOTENCY_HOURS`, and with its execution.
CREATE TABLE request_keys (
    key bytea PRIMARY KEY,
    digest bytea NOT NULL,
    execution_id uuid REFERENCES executions ON DELETE CASCADE,
    answer jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX request_keys_by_execution ON request_keys (execution_id);
CREATE INDEX request_keys_by_age ON request_keys (created_at);
