-- How often a process has begun to run the turn: what tells a turn that ends its processes from one that was only
-- taken over with it. attempt stays the fence, and grows with every takeover.
ALTER TABLE agent_turns ADD COLUMN runs int NOT NULL DEFAULT 1;
UPDATE agent_turns SET runs = attempt;
