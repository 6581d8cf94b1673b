-- Where the admin API of this very process listens, as it says itself.
ALTER TABLE agent_instances ADD COLUMN admin_url text;

-- What the registry signs its calls of agents with. One key signs; one that is retired is shown a while longer, for
-- those who check what it has signed, and its private half is gone.
CREATE TABLE registry_keys (
    key_id text COLLATE "C" PRIMARY KEY,
    public_key bytea NOT NULL,
    private_key bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz,
    CHECK ((private_key IS NULL) = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX one_signing_key ON registry_keys ((true)) WHERE retired_at IS NULL;
