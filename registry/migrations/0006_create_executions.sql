-- state is what the nodes that have completed made of the input. fence counts the times that a worker has taken the
-- execution up: only the latest of them can write. driver is the worker that has it in hand; when that worker is gone
-- and the column is not empty, it left in the middle of a step.
CREATE TABLE executions (
    execution_id uuid PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    position bigint GENERATED ALWAYS AS IDENTITY,
    revision_id bigint NOT NULL REFERENCES workflow_revisions,
    workflow_id text COLLATE "C" NOT NULL,
    workflow_version text NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN (
        'pending', 'running', 'paused', 'completed', 'failed', 'cancelled', 'limit_exceeded')),
    initial_input jsonb NOT NULL,
    state jsonb NOT NULL,
    labels jsonb NOT NULL,
    error text,
    steps_executed int NOT NULL DEFAULT 0,
    last_sequence int NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    driver text,
    cost_usd double precision NOT NULL DEFAULT 0,
    tokens_used bigint NOT NULL DEFAULT 0,
    parent_execution_id uuid,
    parent_node_id text,
    deadline_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX executions_by_tenant ON executions (tenant_id, position);
CREATE INDEX executions_by_status ON executions (tenant_id, status, position);
CREATE INDEX executions_by_creation ON executions (tenant_id, created_at);
CREATE INDEX executions_unfinished ON executions (tenant_id) WHERE status IN ('pending', 'running', 'paused');
CREATE INDEX executions_by_deadline ON executions (deadline_at)
    WHERE deadline_at IS NOT NULL AND status IN ('pending', 'running', 'paused');
CREATE INDEX executions_by_parent ON executions (parent_execution_id) WHERE parent_execution_id IS NOT NULL;

-- What happened, in the transaction in which it happened; numbered from 1 without gaps, and never changed.
CREATE TABLE execution_events (
    execution_id uuid NOT NULL REFERENCES executions ON DELETE CASCADE,
    sequence int NOT NULL,
    type text NOT NULL,
    node_id text,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (execution_id, sequence)
);

-- Calls of agents, for the agents' traces.
CREATE INDEX execution_events_by_agent ON execution_events ((data ->> 'agent_id'), created_at)
    WHERE data ->> 'agent_id' IS NOT NULL;

CREATE FUNCTION refuse_change_of_event() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'RG002';
END
$$;
CREATE TRIGGER execution_events_are_never_changed
    BEFORE UPDATE ON execution_events FOR EACH ROW EXECUTE FUNCTION refuse_change_of_event();

-- What a node waits for. While it does, no worker has anything to do with it.
CREATE TABLE execution_waits (
    wait_id uuid PRIMARY KEY,
    execution_id uuid NOT NULL REFERENCES executions ON DELETE CASCADE,
    node_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('approval', 'event', 'timer', 'retry', 'work', 'child')),
    correlation_key text,
    due_at timestamptz,
    sequence int NOT NULL,
    detail jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (execution_id, node_id)
);
CREATE INDEX execution_waits_by_time ON execution_waits (due_at) WHERE due_at IS NOT NULL;

-- What a node has waited for and now has: read by the next worker that takes the execution up.
CREATE TABLE execution_signals (
    signal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_id uuid NOT NULL REFERENCES executions ON DELETE CASCADE,
    node_id text NOT NULL,
    payload jsonb NOT NULL
);
CREATE INDEX execution_signals_by_execution ON execution_signals (execution_id, signal_id);

-- Events from outside that came before anything waited for their key.
CREATE TABLE kept_events (
    kept_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_id uuid NOT NULL REFERENCES executions ON DELETE CASCADE,
    correlation_key text NOT NULL,
    payload jsonb NOT NULL
);
CREATE INDEX kept_events_by_execution ON kept_events (execution_id, kept_event_id);

-- Adds events to an execution that the caller has locked, and returns the number of the last one.
CREATE FUNCTION append_execution_events(an_execution_id uuid, events jsonb) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    last int;
BEGIN
    UPDATE executions
       SET last_sequence = last_sequence + jsonb_array_length(events), updated_at = now()
     WHERE execution_id = an_execution_id
    RETURNING last_sequence INTO STRICT last;
    INSERT INTO execution_events (execution_id, sequence, type, node_id, data)
    SELECT an_execution_id, last - jsonb_array_length(events) + place, event ->> 'type', event ->> 'node_id',
           event -> 'data'
      FROM jsonb_array_elements(events) WITH ORDINALITY AS given (event, place);
    RETURN last;
END
$$;
