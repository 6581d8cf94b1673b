-- draining: paused to be taken out of service. A process of an agent that takes no new turns says when it has none in
-- hand any more.
ALTER TABLE agents DROP CONSTRAINT agents_status_check;
ALTER TABLE agents ADD CONSTRAINT agents_status_check
    CHECK (status IN ('registered', 'active', 'paused', 'draining', 'deactivated'));
ALTER TABLE agent_instances ADD COLUMN drained boolean NOT NULL DEFAULT false;
