-- Who is logged in at the console. session_hash is the SHA-256 of what the browser's cookie holds.
CREATE TABLE console_sessions (
    session_id text COLLATE "C" PRIMARY KEY,
    session_hash bytea NOT NULL UNIQUE,
    token_id text COLLATE "C" NOT NULL REFERENCES tokens ON DELETE CASCADE,
    browser text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL
);
CREATE INDEX console_sessions_by_token ON console_sessions (token_id, created_at);
CREATE INDEX console_sessions_by_end ON console_sessions (ends_at);
