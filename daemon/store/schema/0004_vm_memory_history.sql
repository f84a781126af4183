-- Where the memory of VMs was, rolled up. No events, not in snapshots; dropped by age. A round has a row for each 54 VMs:
-- one for each VM would be most of its keys. What is in `figures` is written down in vm_memory_pages.h.
CREATE TABLE vm_memory_history (
    resolution INTEGER NOT NULL, -- seconds that a row stands for: 60, 600
    at INTEGER NOT NULL,         -- their first second, since 1970
    page INTEGER NOT NULL,       -- number / 54
    figures BLOB NOT NULL,
    PRIMARY KEY (resolution, at, page)
) STRICT, WITHOUT ROWID;

CREATE TABLE vm_memory_numbers (
    number INTEGER PRIMARY KEY,
    vm TEXT NOT NULL UNIQUE,
    seen INTEGER NOT NULL -- the day, since 1970, on which it was noted last: the number is free again a month later
) STRICT;
