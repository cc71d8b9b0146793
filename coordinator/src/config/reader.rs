//! Reading a section key by key: whatever is wrong becomes a finding, and reading goes on.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::findings::Finding;
use super::tree::{Node, Place, Table, Value};

/// Collects findings, and every key that was asked for.
pub(super) struct Reader {
    pub(super) file: String,
    findings: RefCell<Vec<Finding>>,
    known: RefCell<BTreeSet<String>>,
}

/// A table of the file; an absent one reads as empty.
pub(super) struct Section<'a> {
    reader: &'a Reader,
    path: String,
    /// The path with `*` for names of the operator's choice.
    pattern: String,
    table: Option<&'a Table>,
    place: Place,
    keys: RefCell<Vec<&'static str>>,
}

impl Reader {
    pub(super) fn new(file: String) -> Self {
        Self { file, findings: RefCell::default(), known: RefCell::default() }
    }

    pub(super) fn find(&self, place: &Place, key: &str, problem: impl Display, advice: impl Display) {
        let (line, variable) = match place {
            Place::Nowhere => (None, None),
            Place::Line(line) => (Some(*line), None),
            Place::Variable(name) => (None, Some(name.clone())),
        };
        let (problem, advice) = (problem.to_string(), advice.to_string());
        let (file, key) = (self.file.clone(), key.to_owned());
        self.findings.borrow_mut().push(Finding { file, line, variable, key, problem, advice });
    }

    pub(super) fn root<'a>(&'a self, table: &'a Table) -> Section<'a> {
        let (path, pattern) = (String::new(), String::new());
        let (table, place) = (Some(table), Place::Nowhere);
        Section { reader: self, path, pattern, table, place, keys: RefCell::default() }
    }

    /// Findings in the order of the file, and all keys that were asked for.
    pub(super) fn finish(self) -> (Vec<Finding>, BTreeSet<String>) {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| (finding.variable.is_some(), finding.line));
        (findings, self.known.into_inner())
    }
}

impl<'a> Section<'a> {
    /// Whether the file has it.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    fn join(path: &str, key: &str) -> String {
        if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
    }

    fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.keys.borrow_mut().push(key);
        self.reader.known.borrow_mut().insert(Self::join(&self.pattern, key));
        self.table.and_then(|table| table.get(key))
    }

    /// Something is wrong at a key, or where it should be.
    pub(super) fn wrong(&self, key: &str, problem: impl Display, advice: impl Display) {
        let place = self.table.and_then(|table| table.get(key)).map_or(&self.place, |node| &node.place);
        self.reader.find(place, &Self::join(&self.path, key), problem, advice);
    }

    /// Tells of a missing key.
    pub(super) fn need<T>(&self, key: &'static str, value: Option<T>, example: &str) -> Option<T> {
        if value.is_none() && self.table.is_none_or(|table| !table.contains_key(key)) {
            self.wrong(key, "is missing", format!("write {key} = {example}"));
        }
        value
    }

    fn typed<T>(
        &self,
        key: &'static str,
        kind: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let value = read(&node.value);
        if value.is_none() {
            self.wrong(key, format!("is not {kind}"), format!("give {kind}"));
        }
        value
    }

    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        self.typed(key, "a text in quotes", |value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        self.typed(key, "true or false", |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    pub(super) fn whole(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let whole = self.typed(key, "a whole number", |value| match value {
            Value::Whole(whole) => Some(*whole),
            _ => None,
        })?;
        let fits = u64::try_from(whole).ok().filter(|whole| range.contains(whole));
        if fits.is_none() {
            self.wrong(key, "is out of range", format!("choose {} to {}", range.start(), range.end()));
        }
        fits
    }

    pub(super) fn small(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        u32::try_from(self.whole(key, range)?).ok()
    }

    /// A finite number; which ones fit is the caller's affair.
    pub(super) fn real(&self, key: &'static str) -> Option<f64> {
        self.typed(key, "a finite number", |value| match value {
            Value::Real(real) => Some(*real).filter(|real| real.is_finite()),
            Value::Whole(whole) => Some(*whole as f64),
            _ => None,
        })
    }

    pub(super) fn duration(&self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let text =
            self.typed(key, "a duration in quotes, as \"90s\", \"5m\" or \"1h\"", |value| match value {
                Value::Text(text) => Some(text),
                _ => None,
            })?;
        let Some(duration) = duration(text) else {
            self.wrong(key, "is not a duration", "write a whole number and ms, s, m, h or d, as \"90s\"");
            return None;
        };
        if range.contains(&duration) {
            return Some(duration);
        }
        self.wrong(key, "is out of range", format!("choose {:?} to {:?}", range.start(), range.end()));
        None
    }

    pub(super) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if chosen.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.wrong(key, "is not a known choice", format!("choose {}", names.join(" or ")));
        }
        chosen
    }

    /// A list of whole numbers.
    pub(super) fn indices(&self, key: &'static str) -> Option<Vec<u32>> {
        self.typed(key, "a list of whole numbers", |value| {
            let Value::List(list) = value else { return None };
            let index = |node: &Node| match node.value {
                Value::Whole(whole) => u32::try_from(whole).ok(),
                _ => None,
            };
            list.iter().map(index).collect()
        })
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        self.typed(key, "a list of texts", |value| {
            let Value::List(list) = value else { return None };
            let text = |node: &Node| match &node.value {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            };
            list.iter().map(text).collect()
        })
    }

    /// A number, or the word for all.
    pub(super) fn number_or(&self, key: &'static str, word: &str, most: u32) -> Option<Option<u32>> {
        let node = self.node(key)?;
        match &node.value {
            Value::Text(text) if text == word => Some(None),
            Value::Whole(whole) if (1..=i64::from(most)).contains(whole) => {
                u32::try_from(*whole).ok().map(Some)
            }
            _ => {
                let advice = format!("write \"{word}\" or a number from 1 to {most}");
                self.wrong(key, "is neither a fitting number nor the word", advice);
                None
            }
        }
    }

    pub(super) fn section(&self, key: &'static str) -> Section<'a> {
        let node = self.node(key);
        self.inner(key, key, node)
    }

    /// Every table of a table whose keys are names.
    pub(super) fn named(&self) -> Vec<(String, Section<'a>)> {
        let table = self.table.into_iter().flatten();
        table.map(|(name, node)| (name.clone(), self.inner(name, "*", Some(node)))).collect()
    }

    fn inner(&self, key: &str, pattern: &str, node: Option<&'a Node>) -> Section<'a> {
        let table = match node.map(|node| &node.value) {
            Some(Value::Table(table)) => Some(table),
            Some(_) => {
                self.wrong(key, "is not a table", "give it a section of its own");
                None
            }
            None => None,
        };
        Section {
            reader: self.reader,
            path: Self::join(&self.path, key),
            pattern: Self::join(&self.pattern, pattern),
            table,
            place: node.map_or_else(|| self.place.clone(), |node| node.place.clone()),
            keys: RefCell::default(),
        }
    }

    /// Tells of every key that was not asked for.
    pub(super) fn finish(&self) {
        let keys = self.keys.borrow();
        for name in self.table.into_iter().flat_map(Table::keys).filter(|name| !keys.contains(&name.as_str()))
        {
            let nearest = keys.iter().map(|key| (distance(name, key), *key)).min();
            let advice = match nearest {
                Some((distance, key)) if distance <= 1 + key.len() / 4 => format!("did you mean {key}?"),
                _ => format!("known here: {}", keys.join(", ")),
            };
            self.wrong(name, "is not a known key", advice);
        }
    }
}

/// `90s`, `5m`, `1h`, `250ms`, `2d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(split)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(millis).map(Duration::from_millis)
}

/// How many letters have to be changed, added or removed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (at, x) in (1..).zip(a.chars()) {
        let mut before = at;
        let next = b.chars().zip(row.windows(2)).map(|(y, above)| {
            before = (above[0] + usize::from(x != y)).min(above[1] + 1).min(before + 1);
            before
        });
        row = std::iter::once(at).chain(next.collect::<Vec<_>>()).collect();
    }
    row.last().copied().unwrap_or(0)
}
