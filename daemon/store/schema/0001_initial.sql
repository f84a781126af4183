-- Rows: key columns for filters and sort, and the row itself as JSON (`doc`), which is the truth. `doc` is checked to be
-- JSON so that one bad write can't make the next start read-only. No foreign keys: rows of one transaction refer to each
-- other in any order, and a host's VMs outlive it.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

CREATE TABLE hosts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    managed INTEGER NOT NULL,
    maintenance INTEGER NOT NULL,
    state TEXT NOT NULL,
    state_since INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;
CREATE INDEX hosts_by_name ON hosts (name, id);

CREATE TABLE vms (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    managed INTEGER NOT NULL,
    host TEXT NOT NULL,
    state TEXT NOT NULL,
    state_since INTEGER NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    created INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;
CREATE INDEX vms_by_name ON vms (name, id);
CREATE INDEX vms_by_host ON vms (host, id);

CREATE TABLE pools (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    type TEXT NOT NULL,
    active INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;

CREATE TABLE volumes (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    pool TEXT NOT NULL,
    host TEXT NOT NULL,
    vm TEXT NOT NULL,
    image TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;
CREATE INDEX volumes_by_name ON volumes (name, id);
CREATE INDEX volumes_by_vm ON volumes (vm, id);

CREATE TABLE images (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    pool TEXT NOT NULL,
    host TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;

CREATE TABLE pairs (
    id TEXT NOT NULL PRIMARY KEY,
    from_host TEXT NOT NULL,
    to_host TEXT NOT NULL,
    checked INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    vm TEXT NOT NULL,
    host TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;
CREATE INDEX jobs_by_created ON jobs (created, id);
CREATE INDEX jobs_by_vm ON jobs (vm, id);

CREATE TABLE claims (
    id TEXT NOT NULL PRIMARY KEY,
    job TEXT NOT NULL,
    host TEXT NOT NULL,
    vm TEXT NOT NULL,
    created INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;

CREATE TABLE migrations (
    id TEXT NOT NULL PRIMARY KEY,
    vm TEXT NOT NULL,
    from_host TEXT NOT NULL,
    to_host TEXT NOT NULL,
    mode TEXT NOT NULL,
    phase TEXT NOT NULL,
    started INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;
CREATE INDEX migrations_by_started ON migrations (started, id);
CREATE INDEX migrations_by_vm ON migrations (vm, id);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    right TEXT NOT NULL,
    revoked INTEGER NOT NULL,
    created INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;

-- The event log. `change` says what `after` means: 'put' (the row), 'erase' (null), 'none' (an event without a row).
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    actor TEXT NOT NULL,
    origin TEXT NOT NULL,
    job TEXT NOT NULL,
    message TEXT NOT NULL,
    change TEXT NOT NULL,
    after TEXT NOT NULL CHECK (json_valid(after))
) STRICT;
CREATE INDEX events_by_subject ON events (subject_kind, subject_id, seq);

-- Base snapshots: every row as it was after event `seq`. The row in `bases` is written last: without it the base is
-- unfinished and unused.
CREATE TABLE bases (
    seq INTEGER NOT NULL PRIMARY KEY,
    time INTEGER NOT NULL
) STRICT;
CREATE TABLE base_rows (
    base INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    doc TEXT NOT NULL
) STRICT;
CREATE INDEX base_rows_by_base ON base_rows (base);

-- What a reused Idempotency-Key gets again.
CREATE TABLE answers (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    created INTEGER NOT NULL,
    body_sha256 TEXT NOT NULL,
    status INTEGER NOT NULL,
    location TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT;
CREATE INDEX answers_by_created ON answers (created);
