-- What an agent's turns of a day have used, as its processes say in their heartbeats: each of them says it of all, so the
-- greatest figure is the latest. It stays when the agent goes, and when the agent forgets its turns.
CREATE TABLE agent_usage (
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    agent_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    turns bigint NOT NULL,
    failed bigint NOT NULL,
    model_calls bigint NOT NULL,
    tool_calls bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost double precision,
    PRIMARY KEY (tenant_id, agent_id, day)
) WITH (fillfactor = 70);
CREATE INDEX agent_usage_by_day ON agent_usage (tenant_id, day);

-- All that an agent has used so far.
CREATE FUNCTION usage_of_agent(the_tenant text, the_agent text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
               'turns', coalesce(sum(turns), 0), 'failed', coalesce(sum(failed), 0),
               'model_calls', coalesce(sum(model_calls), 0), 'tool_calls', coalesce(sum(tool_calls), 0),
               'input_tokens', coalesce(sum(input_tokens), 0), 'cached_tokens', coalesce(sum(cached_tokens), 0),
               'output_tokens', coalesce(sum(output_tokens), 0), 'cost', sum(cost))
      FROM agent_usage WHERE tenant_id = the_tenant COLLATE "C" AND agent_id = the_agent COLLATE "C"
$$;
