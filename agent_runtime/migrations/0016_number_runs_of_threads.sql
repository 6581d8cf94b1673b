-- The place of a run among those of its thread, by which streams of the whole thread are in order, and where the
-- run's end is told. Runs of older releases have neither.
ALTER TABLE agent_runs ADD COLUMN number int, ADD COLUMN webhook text;
CREATE INDEX agent_runs_by_number ON agent_runs (thread_id, number);
