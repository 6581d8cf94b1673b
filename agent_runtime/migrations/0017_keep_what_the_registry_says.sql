-- What the registry calls the agent while it is to take no new turns. Unlike what was changed at runtime it outlives all
-- processes: one that starts while the registry is away is held as well.
ALTER TABLE agent_settings ADD COLUMN registry_status text;
