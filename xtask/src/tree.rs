//! The repository as the checks see it: every file git knows or would add, texts in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths (with `/`, relative to the root) and the texts among them.
#[derive(Default)]
pub struct Tree {
    /// Every file, texts and others.
    pub paths: BTreeSet<String>,
    /// Contents of the files that are UTF-8.
    pub texts: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the working tree.
    pub fn load() -> io::Result<Self> {
        let root = root();
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other("git ls-files failed"));
        }
        let mut tree = Self::default();
        for path in String::from_utf8_lossy(&output.stdout).split_terminator('\0') {
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue }; // deleted, not yet staged
            tree.paths.insert(path.to_owned());
            if let Ok(text) = String::from_utf8(bytes) {
                tree.texts.insert(path.to_owned(), text);
            }
        }
        Ok(tree)
    }

    /// Texts whose path ends in `suffix`.
    pub fn ending(&self, suffix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .filter(move |(path, _)| path.ends_with(suffix))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// A tree made of given texts, for tests.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self {
            paths: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
            texts: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
        }
    }
}

/// The root of the workspace: cargo says at run time where this package is, which may be another copy than the one
/// this program was built from.
pub fn root() -> PathBuf {
    let built = env!("CARGO_MANIFEST_DIR");
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(built), PathBuf::from);
    xtask.parent().map(Path::to_path_buf).unwrap_or(xtask)
}

/// What a check found: errors fail it, warnings do not.
#[derive(Default, Debug)]
pub struct Findings {
    /// Violations.
    pub errors: Vec<String>,
    /// What is allowed but should not grow.
    pub warnings: Vec<String>,
    /// One line on what was looked at.
    pub note: String,
}

impl Findings {
    /// Adds a violation.
    pub fn error(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    /// Adds a warning.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Takes over what another check found.
    pub fn merge(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
        if !self.note.is_empty() && !other.note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(&other.note);
    }

    /// Prints everything, warnings first.
    pub fn print(&self) {
        for text in &self.warnings {
            println!("warning: {text}");
        }
        for text in &self.errors {
            println!("error: {text}");
        }
        if !self.note.is_empty() {
            println!("{}", self.note);
        }
    }
}
