-- The sweeps that remove what is old, which all processes make together: whoever holds the row goes on with it, and a
-- new pass begins at next_at.
CREATE TABLE retention_sweeps (
    kind text COLLATE "C" PRIMARY KEY,
    next_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX executions_by_end ON executions (completed_at) WHERE completed_at IS NOT NULL;
CREATE INDEX artifacts_by_age ON artifacts (created_at);
