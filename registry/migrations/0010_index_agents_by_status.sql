-- For lists of one status, and so that counting agents by status reads an index and not their cards.
CREATE INDEX agents_by_status ON agents (tenant_id, status, agent_id);

-- Those among whom somebody may have become overdue, and those who may be back: few, where most agents of a registry
-- have not been active for long, and looked at every second.
CREATE INDEX agents_listened_to ON agents (tenant_id, agent_id) WHERE status = 'active' AND NOT is_overdue;
CREATE INDEX agents_overdue ON agents (tenant_id, agent_id) WHERE is_overdue;
