-- Message threads: conversations that the server holds, found by the id of their newest answer. `fixed` is the JSON
-- object of what stays the same, and each turn the JSON array of the messages it brought, its answer last.
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
