-- What a tenant wants forgotten: what one caller has said, or some threads. caller and thread_ids are there until every
-- agent has answered; what is left then is subject_hash, so that it can be shown for whom it was.
-- execution_ids are those that the registry itself has erased: agents know conversations that were made for them.
CREATE TABLE erasures (
    erasure_id uuid PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    position bigint GENERATED ALWAYS AS IDENTITY,
    caller text,
    thread_ids text[] NOT NULL,
    execution_ids uuid[] NOT NULL DEFAULT '{}',
    subject_hash bytea NOT NULL,
    rows jsonb NOT NULL DEFAULT '{}',
    registry_done_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX erasures_by_tenant ON erasures (tenant_id, position);
CREATE INDEX erasures_to_do ON erasures (position) WHERE registry_done_at IS NULL;

-- One row for each agent that the tenant had then. It outlives the agent's entry, which is removed after a long silence.
-- part is how far the agent has come in execution_ids; rows is what it has counted so far, by table.
CREATE TABLE erasure_agents (
    erasure_id uuid NOT NULL REFERENCES erasures ON DELETE CASCADE,
    tenant_id text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    asks_itself boolean NOT NULL,
    part int NOT NULL DEFAULT 0,
    attempts int NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    last_error text,
    rows jsonb NOT NULL DEFAULT '{}',
    peers jsonb NOT NULL DEFAULT '[]',
    answered_at timestamptz,
    PRIMARY KEY (erasure_id, agent_id)
);
CREATE INDEX erasure_agents_waiting ON erasure_agents (tenant_id, agent_id) WHERE answered_at IS NULL;

-- Executions whose input says for whom they are.
CREATE INDEX executions_by_caller ON executions (tenant_id, (initial_input ->> 'caller'))
    WHERE initial_input ->> 'caller' IS NOT NULL;
