-- name: list_records
-- For each owner that the agent has been: so an index gives a page in its order, and reads little else. Turns that
-- have not ended are few, and are where they are queued.
SELECT * FROM (
    SELECT r.turn_id, r.task_id, r.thread_id, r.caller, r.state, r.accepted_at, r.ended_at, r.duration_ms, r.model,
           r.model_calls, r.tool_calls, r.input_tokens, r.cached_tokens, r.output_tokens, r.cost, r.failure
      FROM agent_owners AS o
     CROSS JOIN LATERAL (
           SELECT * FROM agent_turn_records AS a
            WHERE a.owner_key = o.owner_key
              AND (%(state)s::text IS NULL OR a.state = %(state)s)
              AND (%(caller)s::text IS NULL OR a.caller = %(caller)s)
              AND (%(thread_id)s::text IS NULL OR a.thread_id = %(thread_id)s)
              AND (%(since)s::timestamptz IS NULL OR a.accepted_at >= %(since)s)
              AND (%(until)s::timestamptz IS NULL OR a.accepted_at < %(until)s)
              AND (%(after_at)s::timestamptz IS NULL OR (a.accepted_at, a.turn_id) < (%(after_at)s, %(after_id)s))
            ORDER BY a.accepted_at DESC, a.turn_id DESC
            LIMIT %(limit)s) AS r
     WHERE o.agent_id = %(agent_id)s
    UNION ALL
    SELECT t.turn_id, t.task_id, t.thread_id, h.caller, t.status, t.accepted_at, NULL, NULL, u.*, NULL
      FROM agent_turns AS t
      JOIN agent_threads AS h ON h.thread_id = t.thread_id
      JOIN agent_owners AS o ON o.owner_key = h.owner_key AND o.agent_id = %(agent_id)s
     CROSS JOIN LATERAL turn_usage_totals(t.usage) AS u
     WHERE (%(state)s::text IS NULL OR t.status = %(state)s)
       AND (%(caller)s::text IS NULL OR h.caller = %(caller)s)
       AND (%(thread_id)s::text IS NULL OR t.thread_id = %(thread_id)s)
       AND (%(since)s::timestamptz IS NULL OR t.accepted_at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR t.accepted_at < %(until)s)
       AND (%(after_at)s::timestamptz IS NULL OR (t.accepted_at, t.turn_id) < (%(after_at)s, %(after_id)s))
) AS turns
 ORDER BY accepted_at DESC, turn_id DESC
 LIMIT %(limit)s;

-- name: list_records_of_task
-- A task has a turn for its message, and one for each answer to its questions.
SELECT r.turn_id, r.task_id, r.thread_id, r.caller, r.state, r.accepted_at, r.ended_at, r.duration_ms, r.model,
       r.model_calls, r.tool_calls, r.input_tokens, r.cached_tokens, r.output_tokens, r.cost, r.failure
  FROM agent_turn_records AS r
 WHERE r.task_id = %(task_id)s
   AND r.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
UNION ALL
SELECT t.turn_id, t.task_id, t.thread_id, h.caller, t.status, t.accepted_at, NULL, NULL, u.*, NULL
  FROM agent_turns AS t
  JOIN agent_threads AS h ON h.thread_id = t.thread_id
  JOIN agent_owners AS o ON o.owner_key = h.owner_key AND o.agent_id = %(agent_id)s
 CROSS JOIN LATERAL turn_usage_totals(t.usage) AS u
 WHERE t.task_id = %(task_id)s
 ORDER BY accepted_at DESC, turn_id DESC
 LIMIT %(limit)s;

-- name: sum_usage
-- The sum of all, then a row for each key: the last days, or whoever has used most.
SELECT grouping(key) = 1 AS is_total, key, count(*) AS turns, count(*) FILTER (WHERE state = 'failed') AS failed,
       coalesce(sum(model_calls), 0)::bigint AS model_calls, coalesce(sum(tool_calls), 0)::bigint AS tool_calls,
       coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
       coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
       coalesce(sum(output_tokens), 0)::bigint AS output_tokens, sum(cost) AS cost
  FROM (
    SELECT CASE %(by)s WHEN 'day' THEN to_char(r.accepted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
                       WHEN 'caller' THEN r.caller ELSE r.thread_id END AS key, r.*
      FROM agent_turn_records AS r
     WHERE r.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
       AND (%(since)s::timestamptz IS NULL OR r.accepted_at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR r.accepted_at < %(until)s)
  ) AS turns
 GROUP BY GROUPING SETS ((key), ())
 ORDER BY is_total DESC, CASE WHEN %(by)s = 'day' THEN key END DESC,
          sum(input_tokens + output_tokens) DESC, count(*) DESC, key
 LIMIT %(limit)s;

-- name: sum_usage_by_model
-- A turn that has called several models counts under each, and once in the sum of all; one without a call only there.
WITH turns AS (
    SELECT r.* FROM agent_turn_records AS r
     WHERE r.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
       AND (%(since)s::timestamptz IS NULL OR r.accepted_at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR r.accepted_at < %(until)s)
)
SELECT true AS is_total, NULL AS key, count(*) AS turns, count(*) FILTER (WHERE state = 'failed') AS failed,
       coalesce(sum(model_calls), 0)::bigint AS model_calls, coalesce(sum(tool_calls), 0)::bigint AS tool_calls,
       coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
       coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens,
       coalesce(sum(output_tokens), 0)::bigint AS output_tokens, sum(cost) AS cost
  FROM turns
UNION ALL (
    SELECT false, e.model, count(DISTINCT t.turn_id), count(DISTINCT t.turn_id) FILTER (WHERE t.state = 'failed'),
           sum(e.model_calls)::bigint, 0, sum(e.input_tokens)::bigint, sum(e.cached_tokens)::bigint,
           sum(e.output_tokens)::bigint, sum(e.cost)
      FROM turns AS t, jsonb_each(t.usage) AS attempt (number, entries),
           jsonb_to_recordset(attempt.entries) AS e (
               model text, model_calls bigint, input_tokens bigint, cached_tokens bigint, output_tokens bigint,
               cost numeric)
     WHERE e.model IS NOT NULL
     GROUP BY e.model
     ORDER BY sum(e.input_tokens + e.output_tokens) DESC, e.model
     LIMIT %(limit)s
);

-- name: prune_records
-- Some at a time: what is deleted at once is held until all of it is.
DELETE FROM agent_turn_records WHERE turn_id IN (
    SELECT r.turn_id FROM agent_turn_records AS r
      JOIN agent_owners AS o ON o.owner_key = r.owner_key AND o.agent_id = %(agent_id)s
     WHERE r.accepted_at < now() - make_interval(days => %(days)s)
     LIMIT %(limit)s
);

-- name: sum_of_today
-- What counts against the budgets of the day, by caller; a day is one of UTC, by the database's clock.
SELECT r.caller, sum(r.input_tokens + r.output_tokens)::bigint AS tokens, coalesce(sum(r.cost), 0) AS cost
  FROM agent_turn_records AS r
 WHERE r.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
   AND r.accepted_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
 GROUP BY r.caller;

-- name: seconds_left_today
SELECT extract(epoch FROM (date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day')
                          - now() AT TIME ZONE 'UTC')::float8 AS seconds;
