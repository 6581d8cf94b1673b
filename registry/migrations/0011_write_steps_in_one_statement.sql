-- What a node of an execution has come to, and the checkpoint of a step, are one call each, which is a transaction by
-- itself: it costs one round trip, and one version of the execution's row.

-- The agent's schema has the same function, in a migration of its own: the databases are different ones, and neither's
-- history may depend on the other's. Rows of LangGraph's own tables, as its saver would write them: `the_rows` holds what is text, and says where in
-- `the_bytes` the rest is. A blob is never changed; a write is kept unless it is one of those that replace.
CREATE FUNCTION store_checkpoint_rows(the_rows json, the_bytes bytea) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT b.thread, b.ns, b.channel, b.version, b.type, substr(the_bytes, b.start, b.length)
      FROM json_to_recordset(the_rows -> 'blobs')
        AS b (thread text, ns text, channel text, version text, type text, start int, length int)
        ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING;
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    SELECT c.thread, c.ns, c.id, c.parent, c.checkpoint, c.metadata
      FROM json_to_recordset(the_rows -> 'checkpoints')
        AS c (thread text, ns text, id text, parent text, checkpoint jsonb, metadata jsonb)
        ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
        DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata;
    INSERT INTO checkpoint_writes
           (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT w.thread, w.ns, w.checkpoint, w.task, w.path, w.idx, w.channel, w.type,
           substr(the_bytes, w.start, w.length)
      FROM json_to_recordset(the_rows -> 'writes')
        AS w (thread text, ns text, checkpoint text, task text, path text, idx int, channel text, type text,
              start int, length int)
        ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO NOTHING;
    IF json_array_length(the_rows -> 'replacing') > 0 THEN
        INSERT INTO checkpoint_writes
               (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
        SELECT w.thread, w.ns, w.checkpoint, w.task, w.path, w.idx, w.channel, w.type,
               substr(the_bytes, w.start, w.length)
          FROM json_to_recordset(the_rows -> 'replacing')
            AS w (thread text, ns text, checkpoint text, task text, path text, idx int, channel text, type text,
                  start int, length int)
            ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
            DO UPDATE SET channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob;
    END IF;
END $$;

-- Whoever calls it has taken the execution up with that fence; nothing is written, and null returned, when somebody
-- else has since, or it has ended. Else the number of its last event is returned. The state is the given one, or the
-- one that is there with the patch; one that is the same is not written anew, as it may be large.
CREATE FUNCTION record_execution_step(
    the_execution uuid, the_fence bigint, the_events jsonb, the_signals bigint[], the_state jsonb, the_patch jsonb,
    the_steps int, the_cost double precision, the_tokens bigint, the_rows json, the_bytes bytea
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    event_count int := jsonb_array_length(the_events);
    last int;
BEGIN
    UPDATE executions
       SET updated_at = now(), last_sequence = last_sequence + event_count,
           state = CASE WHEN the_state = state THEN state
                        WHEN the_state IS NOT NULL THEN the_state
                        WHEN the_patch = '{}' THEN state
                        ELSE state || the_patch END,
           steps_executed = steps_executed + the_steps, cost_usd = cost_usd + the_cost,
           tokens_used = tokens_used + the_tokens
     WHERE execution_id = the_execution AND fence = the_fence AND status = 'running'
    RETURNING last_sequence INTO last;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO execution_events (execution_id, sequence, type, node_id, data)
    SELECT the_execution, last - event_count + place, event ->> 'type', event ->> 'node_id', event -> 'data'
      FROM jsonb_array_elements(the_events) WITH ORDINALITY AS given (event, place);
    IF cardinality(the_signals) > 0 THEN
        DELETE FROM execution_signals WHERE signal_id = ANY(the_signals);
    END IF;
    PERFORM store_checkpoint_rows(the_rows, the_bytes);
    RETURN last;
END $$;
