-- Batches. `n` orders those of one workspace and names them to their items. A batch is `receiving` while
-- its items are written, and nobody sees it; what a killed server was receiving goes with the next start.
CREATE TABLE batches (
    n                      INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace              TEXT NOT NULL REFERENCES workspaces (id),
    id                     TEXT NOT NULL,
    state                  TEXT NOT NULL,
    version                TEXT NOT NULL,
    betas                  TEXT NOT NULL,
    created_at_us          INTEGER NOT NULL,
    ended_at_us            INTEGER,
    cancel_initiated_at_us INTEGER,
    total                  INTEGER NOT NULL DEFAULT 0,
    succeeded              INTEGER NOT NULL DEFAULT 0,
    errored                INTEGER NOT NULL DEFAULT 0,
    canceled               INTEGER NOT NULL DEFAULT 0,
    expired                INTEGER NOT NULL DEFAULT 0,
    UNIQUE (workspace, id)
) STRICT;

-- `params` is emptied when the item has its outcome; one without an outcome is still to be run.
CREATE TABLE batch_items (
    batch     INTEGER NOT NULL REFERENCES batches (n) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    params    BLOB NOT NULL,
    outcome   TEXT,
    result    BLOB,
    UNIQUE (batch, position)
) STRICT;
