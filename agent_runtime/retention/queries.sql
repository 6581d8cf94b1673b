-- name: lock_threads
-- Threads that somebody else works on, another sweep or a deletion, are left for later. A turn that is accepted
-- meanwhile waits; one that is running does not, since it only adds what comes after the checkpoints that are kept.
SELECT t.thread_id FROM agent_threads t
 WHERE t.thread_id = ANY(%(thread_ids)s)
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
 ORDER BY t.thread_id FOR NO KEY UPDATE SKIP LOCKED;

-- name: list_owned
SELECT t.thread_id FROM agent_threads t
 WHERE t.thread_id = ANY(%(thread_ids)s)
   AND t.owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s);

-- name: list_overlong
-- By the primary key alone, no checkpoint is read.
SELECT t.thread_id FROM unnest(%(thread_ids)s::text[]) AS t (thread_id)
 WHERE EXISTS (SELECT FROM checkpoints c WHERE c.thread_id = t.thread_id
                GROUP BY c.checkpoint_ns HAVING count(*) > %(keep)s);

-- name: list_unprunable
-- Two kinds of threads whose latest state cannot be read without older checkpoints. A `DeltaChannel` leaves counters
-- in the metadata, or a snapshot: `true` in the place of the value, and a blob. LangGraph.js marks what it began.
-- And before version 4 of its format, LangGraph kept what is yet to be sent with the checkpoint before.
SELECT t.thread_id, found.reason
  FROM unnest(%(thread_ids)s::text[]) AS t (thread_id)
 CROSS JOIN LATERAL (
       SELECT 'a delta channel' AS reason
         FROM checkpoints c
        WHERE c.thread_id = t.thread_id
          AND (c.metadata ? 'counters_since_delta_snapshot' OR c.metadata ? 'delta_writes_versioned'
               OR EXISTS (
                  SELECT FROM jsonb_each(c.checkpoint -> 'channel_values') AS v
                    JOIN checkpoint_blobs b
                      ON b.thread_id = c.thread_id AND b.checkpoint_ns = c.checkpoint_ns AND b.channel = v.key
                     AND b.version = c.checkpoint -> 'channel_versions' ->> v.key
                   WHERE v.value = 'true'::jsonb))
        UNION ALL
       SELECT 'a format of LangGraph before version 4'
         FROM (SELECT DISTINCT ON (c.checkpoint_ns) (c.checkpoint ->> 'v')::int AS format
                 FROM checkpoints c WHERE c.thread_id = t.thread_id
                ORDER BY c.checkpoint_ns, c.checkpoint_id DESC) AS latest
        WHERE latest.format < 4
        LIMIT 1
       ) AS found;

-- name: list_past_calls
-- Namespaces of subgraph calls that began from a checkpoint before those that are kept of the root graph. A call's
-- namespace has a task id after a colon; a subgraph with a memory of its own has none, and lives as long as the thread.
SELECT oldest.thread_id, call.checkpoint_ns
  FROM unnest(%(thread_ids)s::text[]) AS t (thread_id)
 CROSS JOIN LATERAL (
       SELECT c.thread_id, c.checkpoint_id FROM checkpoints c
        WHERE c.thread_id = t.thread_id AND c.checkpoint_ns = ''
        ORDER BY c.checkpoint_id DESC OFFSET %(keep)s - 1 LIMIT 1
       ) AS oldest
 CROSS JOIN LATERAL (
       SELECT DISTINCT ON (c.checkpoint_ns) c.checkpoint_ns, c.metadata -> 'parents' ->> '' AS root
         FROM checkpoints c
        WHERE c.thread_id = t.thread_id AND c.checkpoint_ns LIKE '%%:%%'
        ORDER BY c.checkpoint_ns, c.checkpoint_id DESC
       ) AS call
 WHERE call.root COLLATE "C" < oldest.checkpoint_id COLLATE "C"
 LIMIT %(limit)s;

-- name: prune_call_writes
DELETE FROM checkpoint_writes w USING unnest(%(thread_ids)s::text[], %(namespaces)s::text[]) AS call (thread_id, ns)
 WHERE w.thread_id = call.thread_id AND w.checkpoint_ns = call.ns;

-- name: prune_call_blobs
DELETE FROM checkpoint_blobs b USING unnest(%(thread_ids)s::text[], %(namespaces)s::text[]) AS call (thread_id, ns)
 WHERE b.thread_id = call.thread_id AND b.checkpoint_ns = call.ns;

-- name: prune_call_checkpoints
DELETE FROM checkpoints c USING unnest(%(thread_ids)s::text[], %(namespaces)s::text[]) AS call (thread_id, ns)
 WHERE c.thread_id = call.thread_id AND c.checkpoint_ns = call.ns;

-- name: list_busy
SELECT DISTINCT thread_id FROM agent_turns WHERE thread_id = ANY(%(thread_ids)s);

-- name: find_oldest_kept
-- Of a thread that has more checkpoints of the root graph than `keep` and `slack`: the last that is to stay.
SELECT checkpoint_id, checkpoint -> 'channel_versions' AS versions FROM (
       SELECT c.checkpoint_id, c.checkpoint, row_number() OVER (ORDER BY c.checkpoint_id DESC) AS age,
              count(*) OVER () AS checkpoints
         FROM checkpoints c WHERE c.thread_id = %(thread_id)s AND c.checkpoint_ns = '') AS ranked
 WHERE age = %(keep)s AND checkpoints > %(keep)s + %(slack)s;

-- name: list_stored_values
-- Channels that a checkpoint has the value of, in itself or in a blob.
SELECT v.key AS channel FROM checkpoints c CROSS JOIN LATERAL jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
 WHERE c.thread_id = %(thread_id)s AND c.checkpoint_ns = '' AND c.checkpoint_id = %(checkpoint_id)s
   AND (EXISTS (SELECT FROM checkpoint_blobs b
                 WHERE b.thread_id = c.thread_id AND b.checkpoint_ns = '' AND b.channel = v.key AND b.version = v.value
                   AND b.type <> 'empty')
        OR c.checkpoint -> 'channel_values' ? v.key);

-- name: put_snapshot
INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
VALUES (%(thread_id)s, '', %(channel)s, %(version)s, %(type)s, %(blob)s)
    ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING;

-- name: mark_snapshot
-- As LangGraph marks one of its own: `true` in the place of the value that is in a blob.
UPDATE checkpoints SET checkpoint = jsonb_set(checkpoint, ARRAY['channel_values', %(channel)s], 'true')
 WHERE thread_id = %(thread_id)s AND checkpoint_ns = '' AND checkpoint_id = %(checkpoint_id)s;

-- name: list_past_checkpoints
-- The oldest first, so that a sweep that breaks off leaves a history without a hole. Of threads with a snapshot only
-- those of the root graph that come before it: a turn may have stored more since it was written, and counting anew
-- would take the snapshot itself.
SELECT ranked.thread_id, ranked.checkpoint_ns, ranked.checkpoint_id
  FROM (SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id,
               row_number() OVER (PARTITION BY c.thread_id, c.checkpoint_ns ORDER BY c.checkpoint_id DESC) AS age
          FROM checkpoints c
         WHERE c.thread_id = ANY(%(thread_ids)s)
           AND (c.checkpoint_ns = '' OR c.thread_id <> ALL (%(snapshot_threads)s))) AS ranked
 WHERE ranked.age > %(keep)s
   AND NOT EXISTS (SELECT FROM unnest(%(snapshot_threads)s::text[], %(snapshot_ids)s::text[]) AS s (thread_id, id)
                    WHERE s.thread_id = ranked.thread_id AND ranked.checkpoint_id COLLATE "C" >= s.id COLLATE "C")
 ORDER BY ranked.age DESC LIMIT %(limit)s;

-- name: prune_writes
-- By their checkpoints: a write may be stored before the checkpoint that it belongs to.
DELETE FROM checkpoint_writes w
 USING unnest(%(thread_ids)s::text[], %(namespaces)s::text[], %(checkpoint_ids)s::text[]) AS past (thread_id, ns, id)
 WHERE w.thread_id = past.thread_id AND w.checkpoint_ns = past.ns AND w.checkpoint_id = past.id;

-- name: prune_checkpoints
-- With them go the blobs that they used, unless another checkpoint uses them, too. What a turn stores meanwhile uses
-- blobs of its own, and those of the latest checkpoint, which is kept.
WITH past AS (
    SELECT * FROM unnest(%(thread_ids)s::text[], %(namespaces)s::text[], %(checkpoint_ids)s::text[])
        AS past (thread_id, ns, id)
), pruned AS (
    DELETE FROM checkpoints c USING past
     WHERE c.thread_id = past.thread_id AND c.checkpoint_ns = past.ns AND c.checkpoint_id = past.id
    RETURNING c.thread_id, c.checkpoint_ns, c.checkpoint -> 'channel_versions' AS versions
), freed AS (
    SELECT p.thread_id, p.checkpoint_ns, v.key, v.value FROM pruned p CROSS JOIN jsonb_each_text(p.versions) AS v
    EXCEPT
    SELECT c.thread_id, c.checkpoint_ns, v.key, v.value
      FROM checkpoints c CROSS JOIN jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
     WHERE (c.thread_id, c.checkpoint_ns) IN (SELECT past.thread_id, past.ns FROM past)
       AND (c.thread_id, c.checkpoint_ns, c.checkpoint_id) NOT IN (SELECT past.thread_id, past.ns, past.id FROM past)
), emptied AS (
    DELETE FROM checkpoint_blobs b USING freed
     WHERE b.thread_id = freed.thread_id AND b.checkpoint_ns = freed.checkpoint_ns
       AND b.channel = freed.key AND b.version = freed.value
    RETURNING 1
)
SELECT (SELECT count(*) FROM pruned) AS checkpoints, (SELECT count(*) FROM emptied) AS checkpoint_blobs;

-- name: forget_parents
-- The oldest that is kept has nothing before it any more.
UPDATE checkpoints c SET parent_checkpoint_id = NULL
  FROM unnest(%(thread_ids)s::text[], %(namespaces)s::text[], %(checkpoint_ids)s::text[]) AS past (thread_id, ns, id)
 WHERE c.thread_id = past.thread_id AND c.checkpoint_ns = past.ns AND c.parent_checkpoint_id = past.id;

-- name: open_sweep
INSERT INTO agent_sweeps (agent_id, kind) VALUES (%(agent_id)s, %(kind)s) ON CONFLICT DO NOTHING;

-- name: take_sweep
-- Held until the transaction ends: another process that comes meanwhile goes away again.
SELECT position FROM agent_sweeps
 WHERE agent_id = %(agent_id)s AND kind = %(kind)s AND next_at <= now()
   FOR UPDATE SKIP LOCKED;

-- name: move_sweep
UPDATE agent_sweeps SET position = %(position)s, next_at = now() + make_interval(secs => %(pause_seconds)s)
 WHERE agent_id = %(agent_id)s AND kind = %(kind)s;

-- name: list_idle
-- Neither a turn is there, nor a task that has not ended, nor a question that the latest checkpoint waits with. The
-- time of a checkpoint is in its id, a UUID of version 6: so no other row says when a thread was used last, and a
-- turn has nothing to write for it. The indexes of each table begin with the thread.
WITH bound AS (
    SELECT now() - make_interval(secs => %(idle_seconds)s) AS at
), hex AS (
    SELECT at, lpad(to_hex((extract(epoch FROM at) * 10000000)::bigint + 122192928000000000), 15, '0') AS time
      FROM bound
)
SELECT t.thread_id
  FROM hex
  JOIN agent_threads t ON t.thread_id = ANY(%(thread_ids)s) AND t.created_at <= hex.at
  LEFT JOIN LATERAL (
       SELECT c.checkpoint_id FROM checkpoints c
        WHERE c.thread_id = t.thread_id AND c.checkpoint_ns = ''
        ORDER BY c.checkpoint_id DESC LIMIT 1
       ) AS latest ON true
 WHERE (latest.checkpoint_id IS NULL
        OR latest.checkpoint_id COLLATE "C"
           < concat(left(hex.time, 8), '-', substr(hex.time, 9, 4), '-6', substr(hex.time, 13, 3)))
   AND NOT EXISTS (SELECT FROM agent_turns r WHERE r.thread_id = t.thread_id)
   AND NOT EXISTS (SELECT FROM a2a_tasks a
                    WHERE a.thread_id = t.thread_id
                      AND (a.status_at > hex.at OR a.state NOT IN ('COMPLETED', 'FAILED', 'CANCELED', 'REJECTED')))
   AND NOT EXISTS (SELECT FROM checkpoint_writes w
                    WHERE w.thread_id = t.thread_id AND w.checkpoint_ns = ''
                      AND w.checkpoint_id = latest.checkpoint_id AND w.channel = '__interrupt__')
 ORDER BY t.position;

-- name: lock_idle
-- Whoever works on one of them is not waited for: it is not idle then.
SELECT thread_id FROM agent_threads
 WHERE thread_id = ANY(%(thread_ids)s)
   AND owner_key IN (SELECT owner_key FROM agent_owners WHERE agent_id = %(agent_id)s)
 ORDER BY thread_id FOR UPDATE SKIP LOCKED;

-- name: put_messages
-- In the place of what the same version has had: the conversation is the same, in another form.
INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
VALUES (%(thread_id)s, '', 'messages', %(version)s, %(type)s, %(blob)s)
    ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO UPDATE SET type = EXCLUDED.type, blob = EXCLUDED.blob;

-- name: forget_delta
-- What tells LangGraph that a value is in a blob of another form, or in older checkpoints.
UPDATE checkpoints
   SET checkpoint = checkpoint #- '{channel_values,messages}',
       metadata = metadata - 'counters_since_delta_snapshot' - 'delta_writes_versioned'
 WHERE thread_id = %(thread_id)s AND checkpoint_ns = '' AND checkpoint_id = %(checkpoint_id)s;
