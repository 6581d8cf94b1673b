-- One chain of entries for each tenant. Each entry's hash covers the entry and the hash of the one before it, so that
-- an entry that is changed, removed or put in later shows. The entry is written by the transaction of what it is
-- about: either both are there or neither.
CREATE TABLE audit_entries (
    tenant_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    created_at timestamptz NOT NULL,
    event_type text NOT NULL,
    actor_type text NOT NULL,
    actor_id text NOT NULL,
    role text,
    subject text NOT NULL,
    execution_id text,
    detail jsonb NOT NULL,
    request_id text,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, sequence)
);
CREATE INDEX audit_entries_by_event_type ON audit_entries (tenant_id, event_type, sequence);
CREATE INDEX audit_entries_by_actor ON audit_entries (tenant_id, actor_id, sequence);
CREATE INDEX audit_entries_by_subject ON audit_entries (tenant_id, subject, sequence);
CREATE INDEX audit_entries_by_execution ON audit_entries (tenant_id, execution_id, sequence)
    WHERE execution_id IS NOT NULL;

-- How many entries there are of each kind, so that totals need no counting.
CREATE TABLE audit_totals (
    tenant_id text COLLATE "C" NOT NULL,
    event_type text NOT NULL,
    actor_id text NOT NULL,
    entries bigint NOT NULL,
    PRIMARY KEY (tenant_id, event_type, actor_id)
) WITH (fillfactor = 50);

-- The end of each chain; its row is the lock under which the chain grows.
CREATE TABLE audit_chains (
    tenant_id text COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL,
    hash bytea NOT NULL
) WITH (fillfactor = 50);

-- registry/audit/chain.py computes the same without asking the database: a change here is one there, and makes
-- every entry there is look changed. The time is in seconds, as that depends on no session's settings.
CREATE FUNCTION audit_entry_hash(entry audit_entries) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(jsonb_build_array(
        entry.tenant_id, entry.sequence, extract(epoch FROM entry.created_at)::text, entry.event_type,
        entry.actor_type, entry.actor_id, entry.role, entry.subject, entry.execution_id, entry.detail,
        entry.request_id, encode(entry.previous_hash, 'hex')
    )::text, 'UTF8'))
$$;

-- Call it last in a transaction: other writers of the tenant wait from here to the commit.
CREATE FUNCTION append_audit_entry(
    a_tenant_id text, an_event_type text, an_actor_type text, an_actor_id text, a_role text, a_subject text,
    an_execution_id text, a_detail jsonb, a_request_id text
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    head audit_chains;
    entry audit_entries;
BEGIN
    SELECT * INTO head FROM audit_chains WHERE tenant_id = a_tenant_id FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO audit_chains VALUES (a_tenant_id, 0, '\x') ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT head FROM audit_chains WHERE tenant_id = a_tenant_id FOR UPDATE;
    END IF;
    entry := ROW(
        a_tenant_id, head.sequence + 1, clock_timestamp(), an_event_type, an_actor_type, an_actor_id, a_role,
        a_subject, an_execution_id, a_detail, a_request_id, head.hash, NULL
    );
    entry.hash := audit_entry_hash(entry);
    INSERT INTO audit_entries SELECT (entry).*;
    INSERT INTO audit_totals VALUES (a_tenant_id, an_event_type, an_actor_id, 1)
        ON CONFLICT (tenant_id, event_type, actor_id) DO UPDATE SET entries = audit_totals.entries + 1;
    UPDATE audit_chains SET sequence = entry.sequence, hash = entry.hash WHERE tenant_id = a_tenant_id;
    RETURN entry.sequence;
END
$$;

CREATE FUNCTION refuse_change_of_audit_log() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'RG001';
END
$$;

CREATE TRIGGER audit_entries_are_never_changed
    BEFORE UPDATE OR DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_log();
CREATE TRIGGER audit_entries_are_never_emptied
    BEFORE TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_log();
CREATE TRIGGER audit_chains_are_never_removed
    BEFORE DELETE ON audit_chains FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_log();
CREATE TRIGGER audit_chains_are_never_emptied
    BEFORE TRUNCATE ON audit_chains FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_log();
CREATE TRIGGER audit_chains_only_grow
    BEFORE UPDATE ON audit_chains FOR EACH ROW
    WHEN (NEW.tenant_id <> OLD.tenant_id OR NEW.sequence <> OLD.sequence + 1)
    EXECUTE FUNCTION refuse_change_of_audit_log();
