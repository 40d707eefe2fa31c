//! What the tables are: for requests that this crate answers itself, and for descriptions.
//!
//! dynoxide 3.2.0 counts every item of a table to describe it, and stores a copy of an item for each index. Here a
//! description comes from a copy of the definitions without items, since `ItemCount` may be hours old in DynamoDB too;
//! and an index is one of SQLite, behind a view with the name and columns of dynoxide's own table. Both belong into
//! dynoxide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dynoxide::DynoxideError;
use dynoxide::storage::{Storage, TableMetadata};
use dynoxide::types::{
    AttributeDefinition, GlobalSecondaryIndex, KeySchemaElement, KeyType, ProjectionType, ScalarAttributeType,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

/// A table with two text keys, whose indexes are views.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// The attribute of the partition key.
    pub(crate) pk: String,
    /// The attribute of the sort key.
    pub(crate) sk: String,
    pub(crate) indexes: Vec<Index>,
    /// Whether its changes go into a stream, with both images.
    pub(crate) stream: bool,
}

/// An index of whole items with the sort key of the table.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: String,
    /// The attribute of its partition key.
    pub(crate) pk: String,
}

impl Table {
    /// Reads a definition. `None` for tables and indexes of other kinds, which dynoxide serves.
    fn of(table: &TableMetadata) -> Option<Self> {
        let keys: Vec<KeySchemaElement> = serde_json::from_str(&table.key_schema).ok()?;
        let types: Vec<AttributeDefinition> = serde_json::from_str(&table.attribute_definitions).ok()?;
        let is_text = |name: &str| {
            types.iter().any(|known| known.attribute_name == name && known.attribute_type == ScalarAttributeType::S)
        };
        let two = |keys: &[KeySchemaElement]| match keys {
            [first, second] if first.key_type == KeyType::HASH && second.key_type == KeyType::RANGE => {
                let names = (first.attribute_name.clone(), second.attribute_name.clone());
                (is_text(&names.0) && is_text(&names.1)).then_some(names)
            }
            _ => None,
        };
        let (pk, sk) = two(&keys)?;
        let indexes: Vec<GlobalSecondaryIndex> =
            table.gsi_definitions.as_deref().map_or(Ok(vec![]), serde_json::from_str).ok()?;
        let indexes = indexes.into_iter().map(|index| {
            let (index_pk, index_sk) = two(&index.key_schema)?;
            let whole = index.projection.projection_type == Some(ProjectionType::ALL);
            // The name becomes part of a statement.
            let plain = index_pk.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            (index_sk == sk && whole && plain).then_some(Index { name: index.index_name, pk: index_pk })
        });
        let indexes = indexes.collect::<Option<Vec<_>>>()?;
        let has_others = [&table.lsi_definitions, &table.vector_index_definitions]
            .into_iter()
            .flatten()
            .any(|others| !matches!(others.as_str(), "" | "[]" | "null"));
        let images = table.stream_view_type.as_deref().unwrap_or("NEW_AND_OLD_IMAGES");
        let served = !has_others && (!table.stream_enabled || images == "NEW_AND_OLD_IMAGES");
        served.then(|| Self { name: table.table_name.clone(), pk, sk, indexes, stream: table.stream_enabled })
    }

    /// Its name in a statement.
    pub(crate) fn quoted(&self) -> String {
        quoted(&self.name)
    }
}

impl Index {
    /// The key of its partition as dynoxide's key format, in a statement.
    pub(crate) fn key(&self) -> String {
        format!("'S:' || {}", self.attribute())
    }

    fn attribute(&self) -> String {
        format!("json_extract(item_json, '$.{}.S')", self.pk)
    }

    /// Which items it has, as a condition of a statement.
    pub(crate) fn members(&self) -> String {
        format!("{} IS NOT NULL", self.attribute())
    }

    /// Replaces dynoxide's table of copies by an index and a view of the same name.
    fn make_view(&self, connection: &Connection, table: &Table) -> rusqlite::Result<()> {
        let name = format!("{}::gsi::{}", table.name, self.name);
        let kind: Option<String> = connection
            .query_row("SELECT type FROM sqlite_schema WHERE name = ?1", params![name], |row| row.get(0))
            .optional()?;
        if kind.as_deref() != Some("table") {
            return Ok(());
        }
        let (view, of) = (quoted(&name), table.quoted());
        let has_copies = connection.query_row(&format!("SELECT EXISTS (SELECT 1 FROM {view})"), [], |row| row.get(0));
        if has_copies? {
            tracing::warn!(index = name, "the index is rebuilt once, so that it takes less space");
        }
        let (index, insert, delete) =
            (quoted(&format!("tally_{name}")), quoted(&format!("{name}::insert")), quoted(&format!("{name}::delete")));
        let (key, members) = (self.key(), self.members());
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             DROP TABLE {view};
             CREATE INDEX {index} ON {of} ({key}, sk, pk) WHERE {members};
             CREATE VIEW {view} AS
                 SELECT {key} AS gsi_pk, sk AS gsi_sk, pk AS table_pk, sk AS table_sk, item_json FROM {of}
                 WHERE {members};
             CREATE TRIGGER {insert} INSTEAD OF INSERT ON {view} BEGIN SELECT 1; END;
             CREATE TRIGGER {delete} INSTEAD OF DELETE ON {view} BEGIN SELECT 1; END;
             COMMIT"
        ))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The definitions of all tables.
pub(crate) struct Catalog {
    current: Mutex<Arc<Definitions>>,
}

struct Definitions {
    tables: HashMap<String, Arc<Table>>,
    descriptions: Mutex<Storage>,
}

impl Catalog {
    /// Reads the definitions of a database, and replaces its tables of copies.
    pub(crate) fn open(storage: &Storage) -> Result<Self, DynoxideError> {
        Ok(Self { current: Mutex::new(Arc::new(Definitions::read(storage)?)) })
    }

    /// Reads them again.
    pub(crate) fn refresh(&self, storage: &Storage) -> Result<(), DynoxideError> {
        let definitions = Arc::new(Definitions::read(storage)?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = definitions;
        Ok(())
    }

    fn current(&self) -> Arc<Definitions> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A table that this crate serves itself.
    pub(crate) fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.current().tables.get(name).cloned()
    }

    /// Describes tables and streams, without looking at what they hold.
    pub(crate) fn describe<T>(&self, describe: impl FnOnce(&Storage) -> T) -> T {
        let current = self.current();
        let descriptions = current.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        describe(&descriptions)
    }
}

impl Definitions {
    fn read(storage: &Storage) -> Result<Self, DynoxideError> {
        let connection = storage.conn();
        let mut tables = HashMap::new();
        for name in storage.list_table_names()? {
            let Some(table) = storage.get_table_metadata(&name)?.as_ref().and_then(Table::of) else { continue };
            for index in &table.indexes {
                index.make_view(connection, &table)?;
            }
            tables.insert(name, Arc::new(table));
        }
        Ok(Self { tables, descriptions: Mutex::new(without_items(storage)?) })
    }
}

/// A copy of all definitions, in memory, without the tables themselves.
fn without_items(storage: &Storage) -> Result<Storage, DynoxideError> {
    let copy = Storage::memory()?;
    let mut select = storage.conn().prepare("SELECT * FROM _tables")?;
    let columns: Vec<String> = select.column_names().into_iter().map(quoted).collect();
    let places = vec!["?"; columns.len()].join(", ");
    let insert = format!("INSERT INTO _tables ({}) VALUES ({places})", columns.join(", "));
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let values = (0..columns.len()).map(|column| row.get::<_, Value>(column));
        copy.conn().execute(&insert, params_from_iter(values.collect::<Result<Vec<_>, _>>()?))?;
    }
    Ok(copy)
}
