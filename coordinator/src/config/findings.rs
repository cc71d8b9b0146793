//! What is wrong with a configuration: all of it at once.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong, and what to do. Never quotes a value: it could be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Its line, from 1, if there is one.
    pub line: Option<usize>,
    /// The environment variable, if that is where the value comes from.
    pub variable: Option<String>,
    /// The key, as `jobs.digits.dim`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

/// All that is wrong with a configuration; at least one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// As JSON, for programs.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!({ "ok": self.0.is_empty(), "findings": self.0 }).to_string()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.variable, self.line) {
            (Some(variable), _) => write!(f, "{variable}")?,
            (None, Some(line)) => write!(f, "{}:{line}", self.file)?,
            (None, None) => f.write_str(&self.file)?,
        }
        let key = if self.key.is_empty() { String::new() } else { format!(" {}", self.key) };
        write!(f, ":{key} {}", self.problem)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "; {}", self.advice) }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.0.iter().enumerate() {
            write!(f, "{}{finding}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}
