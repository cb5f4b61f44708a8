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

-- Skills. `n` orders those of one workspace; `display_name` is null where nobody gave one.
CREATE TABLE skills (
    n             INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace     TEXT NOT NULL REFERENCES workspaces (id),
    id            TEXT NOT NULL,
    name          TEXT NOT NULL,
    display_name  TEXT,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    UNIQUE (workspace, id)
) STRICT;

-- `epoch_us` is what the beta calls a version by: unique in its skill, and near its time of creation.
CREATE TABLE skill_versions (
    n             INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace     TEXT NOT NULL,
    skill         INTEGER NOT NULL REFERENCES skills (n) ON DELETE CASCADE,
    id            TEXT NOT NULL,
    epoch_us      INTEGER NOT NULL,
    directory     TEXT NOT NULL,
    description   TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    UNIQUE (workspace, id),
    UNIQUE (skill, epoch_us)
) STRICT;

CREATE TABLE skill_files (
    version INTEGER NOT NULL REFERENCES skill_versions (n) ON DELETE CASCADE,
    path    TEXT NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (version, path)
) STRICT;

-- The skills of a container, by the name of their directory. `version` is the id of a version of our own,
-- or the date of a vendor's.
CREATE TABLE container_skills (
    workspace TEXT NOT NULL,
    container TEXT NOT NULL,
    name      TEXT NOT NULL,
    position  INTEGER NOT NULL,
    vendor    INTEGER NOT NULL,
    skill_id  TEXT NOT NULL,
    version   TEXT NOT NULL,
    in_place  INTEGER NOT NULL,
    PRIMARY KEY (workspace, container, name),
    FOREIGN KEY (workspace, container) REFERENCES containers (workspace, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
