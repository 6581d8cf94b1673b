-- What waits for a person: nodes of executions, and questions that agents have asked their callers. A question of an
-- execution has the id of the wait that it is, comes and goes with it, and has an agent only where that one has asked.
-- asked is what is shown of it; digest tells it from any other question. decision is what was decided, and deliver_at
-- is there while an agent may not have heard of it: whoever is to tell it has until then.
CREATE TABLE questions (
    question_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    position bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind IN ('approval', 'question')),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'decided', 'withdrawn')),
    agent_id text COLLATE "C",
    task_id text,
    thread_id text,
    caller text,
    execution_id uuid REFERENCES executions ON DELETE CASCADE,
    workflow_id text COLLATE "C",
    node_id text,
    digest text NOT NULL,
    asked jsonb NOT NULL,
    asked_at timestamptz NOT NULL,
    due_at timestamptz,
    decision jsonb,
    decided_by text,
    decided_as text,
    decided_at timestamptz,
    deliver_at timestamptz,
    closed_at timestamptz,
    CHECK ((state = 'decided') = (decided_by IS NOT NULL))
);
CREATE INDEX questions_by_state ON questions (tenant_id, state, position);
CREATE INDEX questions_by_agent ON questions (tenant_id, agent_id, state, position) WHERE agent_id IS NOT NULL;
CREATE INDEX questions_by_workflow ON questions (tenant_id, workflow_id, state, position) WHERE workflow_id IS NOT NULL;
CREATE INDEX questions_by_execution ON questions (execution_id) WHERE execution_id IS NOT NULL;
CREATE UNIQUE INDEX questions_of_agents ON questions (tenant_id, agent_id, task_id, asked_at)
    WHERE execution_id IS NULL;
CREATE INDEX questions_to_deliver ON questions (deliver_at) WHERE deliver_at IS NOT NULL;
CREATE INDEX questions_closed ON questions (closed_at) WHERE closed_at IS NOT NULL;

-- When an agent last said which questions it has, by the clock of its own database: of processes that say it at the
-- same time, one may have read before the other.
ALTER TABLE agents ADD COLUMN questions_read_at timestamptz;

CREATE FUNCTION approval_asked(detail jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_object(
        'text', coalesce(detail -> 'context' ->> 'description', detail ->> 'tool_name', ''),
        'data', CASE WHEN detail ->> 'tool_name' IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(detail) END)
$$;

CREATE FUNCTION ask_what_waits() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    question jsonb := NEW.detail -> 'question';
BEGIN
    INSERT INTO questions (question_id, tenant_id, kind, execution_id, workflow_id, node_id, agent_id, task_id, caller,
                           digest, asked, asked_at, due_at)
    SELECT NEW.wait_id, e.tenant_id, CASE NEW.kind WHEN 'approval' THEN 'approval' ELSE 'question' END, e.execution_id,
           e.workflow_id, NEW.node_id, question ->> 'agent_id', question ->> 'task_id', e.initial_input ->> 'caller',
           encode(sha256(convert_to(NEW.wait_id::text, 'UTF8')), 'hex'),
           coalesce(question -> 'asked', approval_asked(NEW.detail)),
           NEW.created_at, NEW.due_at
      FROM executions e WHERE e.execution_id = NEW.execution_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER waits_ask AFTER INSERT ON execution_waits FOR EACH ROW
    WHEN (NEW.kind = 'approval' OR NEW.detail ? 'question') EXECUTE FUNCTION ask_what_waits();

-- Whoever answers says so before the wait ends.
CREATE FUNCTION withdraw_what_waits_no_more() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE questions SET state = 'withdrawn', closed_at = clock_timestamp()
     WHERE question_id = OLD.wait_id AND state = 'waiting';
    RETURN NULL;
END
$$;
CREATE TRIGGER waits_are_withdrawn AFTER DELETE ON execution_waits FOR EACH ROW
    WHEN (OLD.kind = 'approval' OR OLD.detail ? 'question') EXECUTE FUNCTION withdraw_what_waits_no_more();

-- An agent that is gone asks nothing.
CREATE FUNCTION withdraw_questions_of_agent() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE questions SET state = 'withdrawn', closed_at = clock_timestamp()
     WHERE tenant_id = OLD.tenant_id AND agent_id = OLD.agent_id AND state = 'waiting' AND execution_id IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER agents_withdraw_questions AFTER DELETE ON agents FOR EACH ROW
    EXECUTE FUNCTION withdraw_questions_of_agent();

INSERT INTO questions (question_id, tenant_id, kind, execution_id, workflow_id, node_id, caller, digest, asked, asked_at,
                       due_at)
SELECT w.wait_id, e.tenant_id, 'approval', e.execution_id, e.workflow_id, w.node_id, e.initial_input ->> 'caller',
       encode(sha256(convert_to(w.wait_id::text, 'UTF8')), 'hex'),
       approval_asked(w.detail), w.created_at, w.due_at
  FROM execution_waits w JOIN executions e USING (execution_id)
 WHERE w.kind = 'approval';
