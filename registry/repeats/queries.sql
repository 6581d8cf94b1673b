-- name: claim_request_key
-- Waits for whoever is doing something under the key, and takes it if that comes to nothing.
INSERT INTO request_keys (key, digest) VALUES (%(key)s, %(digest)s) ON CONFLICT (key) DO NOTHING;

-- name: find_request_key
SELECT digest, answer FROM request_keys WHERE key = %(key)s;

-- name: note_answer
UPDATE request_keys SET execution_id = %(execution_id)s, answer = %(answer)s WHERE key = %(key)s;

-- name: delete_old_keys
-- Several processes do it at once, each with rows of its own.
DELETE FROM request_keys WHERE key IN (
    SELECT key FROM request_keys WHERE created_at < now() - make_interval(hours => %(hours)s)
     LIMIT %(limit)s FOR UPDATE SKIP LOCKED
);
