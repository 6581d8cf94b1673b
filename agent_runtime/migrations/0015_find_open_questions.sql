-- Who has answered the last question of a task: the name of an admin token, or null for its caller.
ALTER TABLE a2a_tasks ADD COLUMN answered_by text;

-- Few tasks wait, whatever number is kept.
CREATE INDEX a2a_tasks_that_wait ON a2a_tasks (owner_key, status_at, task_id)
    WHERE state IN ('INPUT_REQUIRED', 'AUTH_REQUIRED');
