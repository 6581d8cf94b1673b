-- name: find_signing_key
-- With the time by the database's clock: tokens of all registry processes run out by the same one.
SELECT key_id, private_key, extract(epoch FROM now())::float8 AS now FROM registry_keys WHERE retired_at IS NULL;

-- name: put_signing_key
-- Of several processes that make the first key at once, one does.
INSERT INTO registry_keys (key_id, public_key, private_key) VALUES (%(key_id)s, %(public_key)s, %(private_key)s)
ON CONFLICT DO NOTHING;

-- name: list_public_keys
-- A retired key is shown for as long as what it has signed may be on its way.
SELECT key_id, public_key FROM registry_keys
 WHERE retired_at IS NULL OR retired_at > now() - interval '5 minutes'
 ORDER BY created_at DESC, key_id;

-- name: lock_keys
LOCK TABLE registry_keys IN SHARE ROW EXCLUSIVE MODE;

-- name: retire_signing_key
UPDATE registry_keys SET retired_at = now(), private_key = NULL WHERE retired_at IS NULL;

-- name: delete_retired_keys
DELETE FROM registry_keys WHERE retired_at < now() - interval '5 minutes';
