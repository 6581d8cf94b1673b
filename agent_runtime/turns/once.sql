-- name: claim_message_key
SELECT claim_message_key(%(key)s, %(digest)s, %(thread_id)s, %(task_id)s);

-- name: find_message_key
SELECT digest, thread_id, task_id, answer FROM agent_message_keys WHERE key = %(key)s;

-- name: delete_old_keys
-- Those of this agent's threads: another agent in the database may remember them for longer.
DELETE FROM agent_message_keys WHERE key IN (
    SELECT k.key FROM agent_message_keys AS k
      JOIN agent_threads AS t ON t.thread_id = k.thread_id
      JOIN agent_owners AS o ON o.owner_key = t.owner_key AND o.agent_id = %(agent_id)s
     WHERE k.created_at < now() - make_interval(hours => %(hours)s)
     LIMIT %(limit)s
);
