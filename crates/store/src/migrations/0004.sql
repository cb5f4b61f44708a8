-- Which sandbox lies behind a container: its own id for those made here, so far all of them. One that came
-- with an imported state may have any id, the same in two workspaces, and gets a sandbox of its own name.
-- `started` says that there may be a sandbox at all, `tree_waits` that files are still to be put into it.
ALTER TABLE containers ADD COLUMN sandbox TEXT NOT NULL DEFAULT '';
UPDATE containers SET sandbox = id;
ALTER TABLE containers ADD COLUMN started INTEGER NOT NULL DEFAULT 1;
ALTER TABLE containers ADD COLUMN tree_waits INTEGER NOT NULL DEFAULT 0;

-- The files that wait. `kind` is `file`, `directory`, or `symlink`, whose `content` is its target.
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
