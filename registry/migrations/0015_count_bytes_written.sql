-- The bytes of state that an execution has written in its life, and those that it has begun: beyond a bound it is ended.
ALTER TABLE executions ADD COLUMN bytes_written bigint NOT NULL DEFAULT 0;

-- Whoever calls it has taken the execution up with that fence; nothing is written, and null returned, when somebody
-- else has since, or it has ended. Else the number of its last event is returned. The state is the given one, or the
-- one that is there with the patch; one that is the same is not written anew, as it may be large. A step that was done
-- clears the execution of the workers that ended before.
CREATE OR REPLACE FUNCTION record_execution_step(
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
           tokens_used = tokens_used + the_tokens,
           lost_workers = CASE WHEN the_steps > 0 THEN 0 ELSE lost_workers END,
           bytes_written = bytes_written + coalesce(length(the_bytes), 0)
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
