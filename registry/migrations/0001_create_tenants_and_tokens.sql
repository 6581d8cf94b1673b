-- A deleted tenant's row stays, so that its id, and with it what the audit log says of it, is nobody else's later.
CREATE TABLE tenants (
    tenant_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'archived', 'deleted')),
    policy jsonb NOT NULL DEFAULT '{}',
    limits jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- The platform's own: its operators manage all the others.
INSERT INTO tenants (tenant_id, name) VALUES ('default', 'Default');

-- token_hash is the SHA-256 of the token. A token is 256 random bits, so nothing slower is needed to keep it secret.
CREATE TABLE tokens (
    token_id text COLLATE "C" PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenants,
    role text NOT NULL CHECK (role IN ('operator', 'developer', 'reviewer', 'viewer')),
    name text NOT NULL DEFAULT '',
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX tokens_by_tenant ON tokens (tenant_id, created_at, token_id);
