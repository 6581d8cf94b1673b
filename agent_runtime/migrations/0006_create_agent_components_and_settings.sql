-- The last version of each component of the registry that an agent has put to use, for starts without the registry.
-- Its content is as the registry has it: secrets are names of variables there.
CREATE TABLE agent_components (
    agent_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    component_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    digest text NOT NULL,
    content jsonb NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent_id, kind, component_id)
);

-- What was changed at runtime, for all processes of an agent; NULL is what each one's environment says. The first
-- process of an agent empties the row: a change lives as long as there are processes to remember it.
CREATE TABLE agent_settings (
    agent_id text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 0,
    summarize boolean,
    window_size integer,
    summarize_threshold integer,
    card_url text,
    changed_at timestamptz NOT NULL DEFAULT now()
);
