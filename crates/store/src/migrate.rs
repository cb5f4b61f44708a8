//! The schema and its versions, counted by `SQLite`'s `user_version`.

use rusqlite::Connection;

use super::StoreError;

/// One step each; only ever append.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
];

/// Whether a database is of this program: it has our tables, or none yet.
pub(super) fn is_ours(connection: &Connection) -> Result<bool, StoreError> {
    let sql = || StoreError::sql("look at the database");
    let query = "SELECT count(*), count(*) FILTER (WHERE name IN ('workspaces', 'workspace_keys'))
                 FROM sqlite_master WHERE type = 'table'";
    let (tables, ours): (u32, u32) = connection
        .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(sql())?;
    Ok(tables == 0 || ours == 2)
}

/// Brings the schema up to date, one transaction a step.
pub(super) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    let sql = || StoreError::sql("bring the schema up to date");
    let known = u32::try_from(MIGRATIONS.len()).expect("there are few migrations");
    let found: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(sql())?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (version, step) in (1..).zip(MIGRATIONS).skip(found as usize) {
        let transaction = connection.transaction().map_err(sql())?;
        transaction.execute_batch(step).map_err(sql())?;
        transaction
            .pragma_update(None, "user_version", version)
            .map_err(sql())?;
        transaction.commit().map_err(sql())?;
    }
    Ok(())
}
