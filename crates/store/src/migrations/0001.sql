-- Times are microseconds since the epoch on the workspace's virtual clock.

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

-- `blob` names the bytes on disk and is never given twice. `ordinal` orders the files of one
-- workspace that were made at the same time.
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

-- Where deleted files stood in their list, so that a client may delete what it has listed and go on
-- with the id of a deleted file as its cursor. The newest 10,000 are kept.
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
    input_dir       TEXT NOT NULL,
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
