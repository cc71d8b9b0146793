//! A policy as a file, every value and what stands beside it: what a merged one needs to be used like any other.

use std::fmt::Write as _;

use super::{Policy, Rule, Scope};

impl Policy {
    /// The file that reads as this policy; it extends nothing.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!("policy = {}\nversion = {}\n", quoted(&self.name), self.version);
        for (scope, rule) in self.rules() {
            let _ = match scope {
                Scope::Class(class) => writeln!(text, "\n[class.{class}]"),
                Scope::Key(name) => writeln!(text, "\n[key.{}]", quoted(&name.to_string())),
            };
            self.fields(scope, rule, &mut text);
        }
        text
    }

    fn fields(&self, scope: &Scope, rule: &Rule, text: &mut String) {
        for (field, value) in rule.texts() {
            let value = written(field, &value);
            let _ = match self.cite(scope, field) {
                Some(cite) => writeln!(text, "{field} = {{ value = {value}, cite = {} }}", quoted(cite)),
                None => writeln!(text, "{field} = {value}"),
            };
        }
    }
}

/// A value in TOML: numbers and truth values bare, lists in brackets, everything else quoted.
fn written(field: &str, value: &str) -> String {
    let one = |value: &str| {
        // A region may be called by a number.
        let bare = field != REGIONS && (value.parse::<u64>().is_ok() || matches!(value, "true" | "false"));
        if bare { value.to_owned() } else { quoted(value) }
    };
    match value.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        None => one(value),
        Some("") => "[]".to_owned(),
        Some(list) => format!("[{}]", list.split(", ").map(one).collect::<Vec<_>>().join(", ")),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

const REGIONS: &str = "regions";
