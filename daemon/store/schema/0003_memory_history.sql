-- Where the memory of hosts was, rolled up. No events, not in snapshots; dropped by age. Amounts are KiB and means,
-- `risk_ppb` is the highest in 1e-9. By time first: the rows of one round lie together, so that a round touches few pages.
CREATE TABLE memory_history (
    resolution INTEGER NOT NULL, -- seconds that a row stands for: 10, 60, 600
    at INTEGER NOT NULL,         -- their first second, since 1970
    host TEXT NOT NULL,
    watched INTEGER NOT NULL,    -- seconds of it
    level INTEGER NOT NULL,
    risk_ppb INTEGER NOT NULL,
    vms INTEGER NOT NULL,
    least_free INTEGER NOT NULL,
    most_unmet INTEGER NOT NULL,
    total INTEGER NOT NULL,
    guest_in_use INTEGER NOT NULL,
    page_cache INTEGER NOT NULL,
    guest_unused INTEGER NOT NULL,
    shared INTEGER NOT NULL,
    overhead INTEGER NOT NULL,
    host_cache INTEGER NOT NULL,
    host_own INTEGER NOT NULL,
    reserve INTEGER NOT NULL,
    free INTEGER NOT NULL,
    saved INTEGER NOT NULL,
    promised INTEGER NOT NULL,
    ballooned INTEGER NOT NULL,
    never_touched INTEGER NOT NULL,
    PRIMARY KEY (resolution, at, host)
) STRICT, WITHOUT ROWID;
