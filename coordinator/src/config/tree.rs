//! The file as a tree that knows where every value comes from, environment included.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: it is missing.
    Nowhere,
    /// Line of the file.
    Line(usize),
    /// Environment variable.
    Variable(String),
}

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// A value.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    Whole(i64),
    Real(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// A date, or a number too large.
    Other,
}

pub(super) type Table = BTreeMap<String, Node>;

/// Reads a file: its tree, and what of it does not read (line, message).
pub(super) fn parse(text: &str) -> (Table, Vec<(usize, String)>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let told = |error: &toml::de::Error| {
        (error.span().map_or(1, |span| line(span.start)), error.message().trim().to_owned())
    };
    let place = |span: Range<usize>| Place::Line(line(span.start));
    (table_of(table.get_ref(), &place), errors.iter().map(told).collect())
}

/// Puts an environment variable's value at a path. `false` if something there is no table.
pub(super) fn put(table: &mut Table, path: &[String], variable: &str, text: &str) -> bool {
    let place = Place::Variable(variable.to_owned());
    let Some((key, path)) = path.split_first() else { return false };
    if path.is_empty() {
        table.insert(key.clone(), Node { value: read(text, &place), place });
        return true;
    }
    let empty = || Node { value: Value::Table(Table::new()), place };
    match &mut table.entry(key.clone()).or_insert_with(empty).value {
        Value::Table(table) => put(table, path, variable, text),
        _ => false,
    }
}

/// A TOML value, or else the text as it is.
fn read(text: &str, place: &Place) -> Value {
    let parsed = DeValue::parse(text);
    parsed
        .map_or_else(|_| Value::Text(text.to_owned()), |value| value_of(value.get_ref(), &|_| place.clone()))
}

fn table_of(table: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Table {
    let node = |value: &toml::Spanned<DeValue<'_>>, span| Node {
        value: value_of(value.get_ref(), place),
        place: place(span),
    };
    table.iter().map(|(key, value)| (key.get_ref().to_string(), node(value, key.span()))).collect()
}

fn value_of(value: &DeValue<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(whole) => {
            let digits = whole.as_str().replace('_', "");
            i64::from_str_radix(&digits, whole.radix()).map_or(Value::Other, Value::Whole)
        }
        DeValue::Float(real) => real.as_str().replace('_', "").parse().map_or(Value::Other, Value::Real),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Array(list) => {
            let node = |value: &toml::Spanned<DeValue<'_>>| Node {
                value: value_of(value.get_ref(), place),
                place: place(value.span()),
            };
            Value::List(list.iter().map(node).collect())
        }
        DeValue::Table(table) => Value::Table(table_of(table, place)),
        DeValue::Datetime(_) => Value::Other,
    }
}
