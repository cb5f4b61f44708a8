CREATE TABLE workspaces (
    id                 TEXT PRIMARY KEY,
    name               TEXT NOT NULL UNIQUE,
    created_at_us      INTEGER NOT NULL,
    clock_offset_us    INTEGER NOT NULL DEFAULT 0,
    clock_frozen_at_us INTEGER,
    used_bytes         INTEGER NOT NULL DEFAULT 0,
    files_made         INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE workspace_keys (
    hash      BLOB PRIMARY KEY,
    workspace TEXT NOT NULL REFERENCES workspaces (id)
) STRICT, WITHOUT ROWID;
CREATE TABLE files (
    blob          INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace     TEXT NOT NULL REFERENCES workspaces (id),
    id            TEXT NOT NULL,
    ordinal       INTEGER NOT NULL,
    filename      TEXT NOT NULL,
    mime_type     TEXT NOT NULL,
    size_bytes    INTEGER NOT NULL,
    downloadable  INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER,
    container_id  TEXT,
    UNIQUE (workspace, id)
) STRICT;
CREATE INDEX files_by_age ON files (workspace, created_at_us, ordinal);
CREATE INDEX files_by_expiry ON files (workspace, expires_at_us) WHERE expires_at_us IS NOT NULL;
CREATE TABLE deleted_files (
    n             INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace     TEXT NOT NULL,
    id            TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    ordinal       INTEGER NOT NULL,
    UNIQUE (workspace, id)
) STRICT;
CREATE TRIGGER file_made AFTER INSERT ON files BEGIN
    UPDATE workspaces SET used_bytes = used_bytes + NEW.size_bytes WHERE id = NEW.workspace;
END;
CREATE TRIGGER file_deleted AFTER DELETE ON files BEGIN
    UPDATE workspaces SET used_bytes = used_bytes - OLD.size_bytes WHERE id = OLD.workspace;
    INSERT OR REPLACE INTO deleted_files (workspace, id, created_at_us, ordinal)
        VALUES (OLD.workspace, OLD.id, OLD.created_at_us, OLD.ordinal);
    DELETE FROM deleted_files WHERE n <= (SELECT max(n) FROM deleted_files) - 10000;
END;
CREATE TABLE containers (
    workspace       TEXT NOT NULL REFERENCES workspaces (id),
    id              TEXT NOT NULL,
    created_at_us   INTEGER NOT NULL,
    expires_at_us   INTEGER NOT NULL,
    last_used_at_us INTEGER NOT NULL,
    state           TEXT NOT NULL,
    input_dir       TEXT NOT NULL, sandbox TEXT NOT NULL DEFAULT '', started INTEGER NOT NULL DEFAULT 1, tree_waits INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE container_files (
    workspace TEXT NOT NULL,
    container TEXT NOT NULL,
    file_id   TEXT NOT NULL,
    filename  TEXT NOT NULL,
    in_place  INTEGER NOT NULL,
    PRIMARY KEY (workspace, container, file_id),
    FOREIGN KEY (workspace, container) REFERENCES containers (workspace, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
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
    expired                INTEGER NOT NULL DEFAULT 0, quirks TEXT NOT NULL DEFAULT '',
    UNIQUE (workspace, id)
) STRICT;
CREATE TABLE batch_items (
    batch     INTEGER NOT NULL REFERENCES batches (n) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    params    BLOB NOT NULL,
    outcome   TEXT,
    result    BLOB,
    UNIQUE (batch, position)
) STRICT;
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
CREATE TABLE container_trees (
    workspace TEXT NOT NULL,
    container TEXT NOT NULL,
    path      BLOB NOT NULL,
    kind      TEXT NOT NULL,
    mode      INTEGER NOT NULL,
    content   BLOB NOT NULL,
    UNIQUE (workspace, container, path),
    FOREIGN KEY (workspace, container) REFERENCES containers (workspace, id) ON DELETE CASCADE
) STRICT;
CREATE TABLE threads (
    n            INTEGER PRIMARY KEY,
    workspace    TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    last_used_us INTEGER NOT NULL,
    fixed        TEXT NOT NULL
) STRICT;
CREATE INDEX threads_by_use ON threads (workspace, last_used_us);
CREATE TABLE thread_turns (
    workspace TEXT NOT NULL,
    message   TEXT NOT NULL,
    thread    INTEGER NOT NULL REFERENCES threads (n) ON DELETE CASCADE,
    ordinal   INTEGER NOT NULL,
    messages  TEXT NOT NULL,
    PRIMARY KEY (workspace, message),
    UNIQUE (thread, ordinal)
) STRICT;
CREATE TABLE deleted_batches (
    n             INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace     TEXT NOT NULL,
    id            TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    batch         INTEGER NOT NULL,
    UNIQUE (workspace, id)
) STRICT;
CREATE TRIGGER batch_deleted AFTER DELETE ON batches WHEN OLD.state = 'ended' BEGIN
    INSERT OR REPLACE INTO deleted_batches (workspace, id, created_at_us, batch)
        VALUES (OLD.workspace, OLD.id, OLD.created_at_us, OLD.n);
    DELETE FROM deleted_batches WHERE n <= (SELECT max(n) FROM deleted_batches) - 10000;
END;
