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

/// What all of them make of an empty database: parsing every step is most of what a new one takes. The test below writes it.
const WHOLE: &str = include_str!("migrations/whole.sql");

/// Whose a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// It has our tables.
    Ours,
    /// It has no tables: it was never finished, or what it knew is lost.
    Nobody,
    Another,
}

pub(super) fn owner(connection: &Connection) -> Result<Owner, StoreError> {
    let sql = || StoreError::sql("look at the database");
    let query = "SELECT count(*), count(*) FILTER (WHERE name IN ('workspaces', 'workspace_keys'))
                 FROM sqlite_master WHERE type = 'table'";
    let (tables, ours): (u32, u32) = connection
        .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(sql())?;
    Ok(match (tables, ours) {
        (0, _) => Owner::Nobody,
        (_, 2) => Owner::Ours,
        (_, _) => Owner::Another,
    })
}

/// The version that this program makes.
fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// Gives an empty database the schema.
pub(super) fn begin(connection: &mut Connection) -> Result<(), StoreError> {
    step(connection, known(), WHOLE)
}

/// Brings the schema up to date, one transaction a step.
pub(super) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    let sql = || StoreError::sql("bring the schema up to date");
    let known = known();
    let found: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(sql())?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (version, text) in (1..).zip(MIGRATIONS).skip(found as usize) {
        step(connection, version, text)?;
    }
    Ok(())
}

fn step(connection: &mut Connection, version: u32, text: &str) -> Result<(), StoreError> {
    let sql = || StoreError::sql("bring the schema up to date");
    let transaction = connection.transaction().map_err(sql())?;
    transaction.execute_batch(text).map_err(sql())?;
    transaction
        .pragma_update(None, "user_version", version)
        .map_err(sql())?;
    transaction.commit().map_err(sql())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every table and index with the text that made it.
    fn schema(connection: &Connection) -> Vec<(String, String)> {
        let query =
            "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY rowid";
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// `SANDTABLE_UPDATE=1 cargo test -p sandtable-store` writes `whole.sql` anew.
    #[test]
    fn a_new_database_is_what_all_steps_make() {
        let mut stepped = Connection::open_in_memory().unwrap();
        run(&mut stepped).unwrap();
        let (all, stepped) = (&stepped, schema(&stepped));
        if std::env::var_os("SANDTABLE_UPDATE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/migrations/whole.sql");
            let texts = stepped.iter().map(|(_, sql)| format!("{sql};\n"));
            std::fs::write(path, texts.collect::<String>()).unwrap();
        }
        let mut whole = Connection::open_in_memory().unwrap();
        begin(&mut whole).unwrap();
        assert!(
            schema(&whole) == stepped,
            "whole.sql is stale: `SANDTABLE_UPDATE=1 cargo test -p sandtable-store`"
        );
        run(&mut whole).unwrap();
        assert_eq!(schema(&whole), stepped, "nothing is left to do");
        let tables = stepped
            .iter()
            .filter(|(_, sql)| sql.starts_with("CREATE TABLE"));
        for (name, _) in tables {
            let count = format!("SELECT count(*) FROM {name}");
            let rows: i64 = all.query_row(&count, [], |row| row.get(0)).unwrap();
            assert_eq!(rows, 0, "{name}: `whole.sql` has no rows");
        }
    }
}
