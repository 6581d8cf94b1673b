-- name: find_question
SELECT question_id, tenant_id, position, kind, state, agent_id, task_id, thread_id, caller, execution_id, workflow_id,
       node_id, digest, asked, asked_at, due_at, decision, decided_by, decided_as, decided_at, deliver_at
  FROM questions
 WHERE question_id = %(question_id)s AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s);

-- name: lock_question
-- Answers to one question come one after the other. An execution is locked before its questions, here as everywhere.
SELECT question_id, tenant_id, position, kind, state, agent_id, task_id, thread_id, caller, execution_id, workflow_id,
       node_id, digest, asked, asked_at, due_at, decision, decided_by, decided_as, decided_at, deliver_at
  FROM questions
 WHERE question_id = %(question_id)s
   FOR NO KEY UPDATE;

-- name: find_rules
-- What the tenant's policy says, and what the caller's token is called.
SELECT t.policy, (SELECT k.name FROM tokens k WHERE k.token_id = %(actor_id)s AND k.tenant_id = t.tenant_id) AS token_name
  FROM tenants t WHERE t.tenant_id = %(tenant_id)s;

-- name: find_decided
-- The last one of a node, or of the whole execution.
SELECT question_id, tenant_id, position, kind, state, agent_id, task_id, thread_id, caller, execution_id, workflow_id,
       node_id, digest, asked, asked_at, due_at, decision, decided_by, decided_as, decided_at, deliver_at
  FROM questions
 WHERE execution_id = %(execution_id)s AND state = 'decided' AND (%(node_id)s::text IS NULL OR node_id = %(node_id)s)
 ORDER BY position DESC LIMIT 1;

-- name: list_waiting
-- The one that waits longest first.
SELECT question_id, tenant_id, position, kind, state, agent_id, task_id, thread_id, caller, execution_id, workflow_id,
       node_id, digest, asked, asked_at, due_at, decision, decided_by, decided_as, decided_at, deliver_at
  FROM questions
 WHERE tenant_id = %(tenant_id)s AND state = 'waiting'
   AND (%(kind)s::text IS NULL OR kind = %(kind)s)
   AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s)
   AND (%(workflow_id)s::text IS NULL OR workflow_id = %(workflow_id)s)
   AND (%(labels)s::jsonb IS NULL OR agent_id IN (
           SELECT a.agent_id FROM agents a WHERE a.tenant_id = %(tenant_id)s AND a.labels @> %(labels)s::jsonb))
   AND position > coalesce(%(after)s::bigint, 0)
 ORDER BY position LIMIT %(limit)s;

-- name: list_closed
-- The newest first.
SELECT question_id, tenant_id, position, kind, state, agent_id, task_id, thread_id, caller, execution_id, workflow_id,
       node_id, digest, asked, asked_at, due_at, decision, decided_by, decided_as, decided_at, deliver_at
  FROM questions
 WHERE tenant_id = %(tenant_id)s AND state = %(state)s
   AND (%(kind)s::text IS NULL OR kind = %(kind)s)
   AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s)
   AND (%(workflow_id)s::text IS NULL OR workflow_id = %(workflow_id)s)
   AND (%(labels)s::jsonb IS NULL OR agent_id IN (
           SELECT a.agent_id FROM agents a WHERE a.tenant_id = %(tenant_id)s AND a.labels @> %(labels)s::jsonb))
   AND position < coalesce(%(after)s::bigint, 9223372036854775807)
 ORDER BY position DESC LIMIT %(limit)s;

-- name: note_decision
-- Of one that waits; for any other nothing is written.
UPDATE questions
   SET state = 'decided', decision = %(decision)s, decided_by = %(decided_by)s, decided_as = %(decided_as)s,
       decided_at = clock_timestamp(), closed_at = clock_timestamp(),
       deliver_at = clock_timestamp() + make_interval(secs => %(deliver_seconds)s)
 WHERE question_id = %(question_id)s AND state = 'waiting';

-- name: note_delivered
-- The agent has taken it, or somebody else's answer before.
UPDATE questions
   SET deliver_at = NULL, decided_by = coalesce(%(decided_by)s, decided_by),
       decision = CASE WHEN %(decided_by)s::text IS NULL THEN decision END
 WHERE question_id = %(question_id)s AND deliver_at IS NOT NULL;

-- name: note_refused
-- The agent did not take it: the question is as open as before.
UPDATE questions
   SET state = 'waiting', decision = NULL, decided_by = NULL, decided_as = NULL, decided_at = NULL, deliver_at = NULL,
       closed_at = NULL
 WHERE question_id = %(question_id)s AND deliver_at IS NOT NULL;

-- name: withdraw_question
UPDATE questions
   SET state = 'withdrawn', decision = NULL, decided_by = NULL, decided_as = NULL, decided_at = NULL,
       deliver_at = NULL, closed_at = clock_timestamp()
 WHERE question_id = %(question_id)s AND deliver_at IS NOT NULL;

-- name: claim_undelivered
-- Whoever claims one has half a minute to tell the agent, also when it dies meanwhile.
UPDATE questions SET deliver_at = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE question_id = (SELECT question_id FROM questions
                       WHERE deliver_at < clock_timestamp() AND question_id <> ALL (%(but)s::uuid[])
                       ORDER BY deliver_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING question_id, tenant_id, position, kind, state, agent_id, task_id, thread_id, caller, execution_id,
          workflow_id, node_id, digest, asked, asked_at, due_at, decision, decided_by, decided_as, decided_at,
          deliver_at;

-- name: note_read
-- Of processes of an agent that report at the same time, the one that has read last is right.
UPDATE agents SET questions_read_at = %(read_at)s
 WHERE tenant_id = %(tenant_id)s AND agent_id = %(agent_id)s
   AND (questions_read_at IS NULL OR questions_read_at <= %(read_at)s);

-- name: put_reported
-- One that was withdrawn by an older report, and is open after all, waits again.
INSERT INTO questions AS q (tenant_id, kind, agent_id, task_id, thread_id, caller, digest, asked, asked_at)
SELECT %(tenant_id)s, 'question', %(agent_id)s, g.task_id, g.thread_id, g.caller, g.digest, g.asked, g.asked_at
  FROM unnest(%(task_ids)s::text[], %(thread_ids)s::text[], %(callers)s::text[], %(digests)s::text[],
              %(asked)s::jsonb[], %(asked_at)s::timestamptz[])
       AS g (task_id, thread_id, caller, digest, asked, asked_at)
 ORDER BY g.asked_at, g.task_id
ON CONFLICT (tenant_id, agent_id, task_id, asked_at) WHERE execution_id IS NULL DO UPDATE
   SET state = 'waiting', closed_at = NULL WHERE q.state = 'withdrawn';

-- name: list_unknown
-- Of the open questions of an agent, those that are not known here, or not as open.
SELECT g.task_id
  FROM unnest(%(task_ids)s::text[], %(asked_at)s::timestamptz[]) AS g (task_id, asked_at)
 WHERE NOT EXISTS (SELECT FROM questions q
                    WHERE q.tenant_id = %(tenant_id)s AND q.agent_id = %(agent_id)s AND q.task_id = g.task_id
                      AND q.asked_at = g.asked_at AND q.execution_id IS NULL AND q.state <> 'withdrawn')
 LIMIT %(limit)s;

-- name: close_unreported
-- What the agent has not among its open questions any more: somebody has answered there, or the task is gone.
UPDATE questions q
   SET state = CASE WHEN a.decided_by IS NULL THEN 'withdrawn' ELSE 'decided' END, decided_by = a.decided_by,
       decided_at = CASE WHEN a.decided_by IS NOT NULL THEN clock_timestamp() END, closed_at = clock_timestamp()
  FROM questions open
  LEFT JOIN unnest(%(answered_ids)s::text[], %(answered_at)s::timestamptz[], %(deciders)s::text[])
            AS a (task_id, asked_at, decided_by) ON a.task_id = open.task_id AND a.asked_at = open.asked_at
 WHERE q.question_id = open.question_id AND q.state = 'waiting'
   AND open.tenant_id = %(tenant_id)s AND open.agent_id = %(agent_id)s AND open.state = 'waiting'
   AND open.execution_id IS NULL AND (%(since)s::timestamptz IS NULL OR open.asked_at >= %(since)s)
   AND NOT EXISTS (SELECT FROM unnest(%(task_ids)s::text[], %(asked_at)s::timestamptz[]) AS g (task_id, asked_at)
                    WHERE g.task_id = open.task_id AND g.asked_at = open.asked_at);

-- name: purge_questions
-- What has become of old ones is in the audit log.
DELETE FROM questions
 WHERE question_id IN (SELECT question_id FROM questions
                        WHERE closed_at < clock_timestamp() - make_interval(days => %(days)s) AND deliver_at IS NULL
                        ORDER BY closed_at LIMIT %(limit)s);
