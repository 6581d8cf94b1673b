-- name: put_usage
-- Of several processes that tell of a day at once, the one that knows most is right. In the order of the keys, so that
-- statements like this one do not wait for each other in a circle.
INSERT INTO agent_usage AS u (tenant_id, agent_id, day, turns, failed, model_calls, tool_calls, input_tokens,
                              cached_tokens, output_tokens, cost)
SELECT t.tenant_id, t.agent_id, t.day, max(t.turns), max(t.failed), max(t.model_calls), max(t.tool_calls),
       max(t.input_tokens), max(t.cached_tokens), max(t.output_tokens), max(t.cost)
  FROM jsonb_to_recordset(%(told)s) AS t (
       tenant_id text, agent_id text, day date, turns bigint, failed bigint, model_calls bigint, tool_calls bigint,
       input_tokens bigint, cached_tokens bigint, output_tokens bigint, cost double precision)
 GROUP BY 1, 2, 3
 ORDER BY 1, 2, 3
ON CONFLICT (tenant_id, agent_id, day) DO UPDATE
   SET turns = greatest(u.turns, excluded.turns), failed = greatest(u.failed, excluded.failed),
       model_calls = greatest(u.model_calls, excluded.model_calls),
       tool_calls = greatest(u.tool_calls, excluded.tool_calls),
       input_tokens = greatest(u.input_tokens, excluded.input_tokens),
       cached_tokens = greatest(u.cached_tokens, excluded.cached_tokens),
       output_tokens = greatest(u.output_tokens, excluded.output_tokens),
       cost = greatest(u.cost, excluded.cost);

-- name: first_day
-- So many days ago, by the database's clock.
SELECT to_char((now() AT TIME ZONE 'UTC')::date - %(days)s::int, 'YYYY-MM-DD') AS day;

-- name: sum_usage
-- The sum of all first, then a row for each key: the last days, or whoever has used most. What has no key of the kind
-- counts in the sum alone.
WITH used AS (
    SELECT CASE %(by)s WHEN 'agent' THEN agent_id WHEN 'day' THEN to_char(day, 'YYYY-MM-DD') END AS key,
           turns, failed, model_calls, tool_calls, input_tokens, cached_tokens, output_tokens, cost,
           0 AS executions, 0 AS executions_failed, 0::bigint AS execution_tokens, 0::float8 AS execution_cost,
           0::float8 AS execution_seconds
      FROM agent_usage
     WHERE tenant_id = %(tenant_id)s AND day >= %(since)s::date
       AND (%(until)s::date IS NULL OR day < %(until)s::date)
    UNION ALL
    SELECT CASE %(by)s WHEN 'workflow' THEN workflow_id
                       WHEN 'day' THEN to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') END,
           0, 0, 0, 0, 0, 0, 0, NULL,
           1, CASE WHEN status IN ('failed', 'limit_exceeded') THEN 1 ELSE 0 END, tokens_used, cost_usd,
           coalesce(extract(epoch FROM completed_at - coalesce(started_at, created_at)), 0)::float8
      FROM executions
     WHERE tenant_id = %(tenant_id)s AND created_at >= %(since)s::date::timestamp AT TIME ZONE 'UTC'
       AND (%(until)s::date IS NULL OR created_at < %(until)s::date::timestamp AT TIME ZONE 'UTC')
)
SELECT key, coalesce(sum(turns), 0)::bigint AS turns, coalesce(sum(failed), 0)::bigint AS failed,
       coalesce(sum(model_calls), 0)::bigint AS model_calls, coalesce(sum(tool_calls), 0)::bigint AS tool_calls,
       coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
       coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
       coalesce(sum(output_tokens), 0)::bigint AS output_tokens, sum(cost) AS cost,
       coalesce(sum(executions), 0)::bigint AS executions,
       coalesce(sum(executions_failed), 0)::bigint AS executions_failed,
       coalesce(sum(execution_tokens), 0)::bigint AS execution_tokens,
       coalesce(sum(execution_cost), 0) AS execution_cost,
       coalesce(sum(execution_seconds), 0) AS execution_seconds
  FROM used
 GROUP BY GROUPING SETS ((key), ())
HAVING grouping(key) = 1 OR key IS NOT NULL
 ORDER BY grouping(key) DESC, CASE WHEN %(by)s = 'day' THEN key END DESC,
          sum(input_tokens + output_tokens + execution_tokens) DESC, sum(turns + executions) DESC, key
 LIMIT %(limit)s + 1;
