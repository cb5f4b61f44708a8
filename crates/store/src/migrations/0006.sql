-- Where deleted batches stood in their list, as for files: a client may delete what it has listed and go on with the
-- id of a deleted batch as its cursor. The newest 10,000 are kept.
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
