-- A turn that answers an interrupt: whether the graph has taken the answer, so that nobody who takes the turn over
-- gives it once more, to what may be another question by then.
ALTER TABLE agent_turns ADD COLUMN answered boolean NOT NULL DEFAULT false;

-- In the place of `hold_agent_turn` in a transaction that stores what the graph made of the answer.
CREATE FUNCTION hold_answered_agent_turn(the_turn bigint, the_attempt int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agent_turns SET answered = true WHERE turn_id = the_turn AND attempt = the_attempt;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'turn % is no longer attempt % of this process', the_turn, the_attempt
            USING ERRCODE = 'AS001';
    END IF;
END $$;
