-- Plans of moves.
CREATE TABLE plans (
    id TEXT NOT NULL PRIMARY KEY,
    goal TEXT NOT NULL,
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    job TEXT NOT NULL,
    made INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    doc TEXT NOT NULL CHECK (json_valid(doc))
) STRICT;
CREATE INDEX plans_by_made ON plans (made, id);

-- What a restart should not lose but nobody needs the history of: rolled-up statistics. No events.
CREATE TABLE kept (
    key TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL
) STRICT, WITHOUT ROWID;
