-- What somebody was refused in the last hour, by the kind of the refusal: as many entries of the audit log as that kind
-- may have, and how many refusals there were besides. Gone when the hour is over, and the log has an entry of how many.
CREATE TABLE audit_refusals (
    tenant_id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    actor_type text NOT NULL,
    role text,
    entries int NOT NULL DEFAULT 0,
    counted bigint NOT NULL DEFAULT 0,
    began_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, actor_id, kind)
);
