//! What an application takes in with the participant library: no database, no HTTP, no training framework.
//!
//! The whole tree of normal and build dependencies is looked at, on every target; development dependencies stay out
//! of an application.

use std::collections::BTreeSet;
use std::process::Command;

use crate::tree::{Findings, root};

/// The crate that applications embed.
const CRATE: &str = "quorate-participant";

/// Beginnings of names that have no place in it.
const FORBIDDEN: &[&str] = &[
    "sqlx",
    "libsqlite3",
    "rusqlite",
    "tokio-postgres",
    "postgres",
    "diesel",
    "redb",
    "sled",
    "rocksdb",
    "axum",
    "hyper",
    "tower",
    "utoipa",
    "ureq",
    "reqwest",
    "actix",
    "warp",
    "tonic",
    "candle",
    "burn",
    "tch",
    "ort",
    "torch",
    "ndarray",
    "quorate-coordinator",
    "quorate-sim",
];

/// Looks through the tree as cargo resolves it.
pub fn check() -> Findings {
    let mut findings = Findings::default();
    match tree() {
        Ok(tree) => look(&tree, &mut findings),
        Err(error) => findings.error(format!("cargo tree: {error}")),
    }
    findings
}

fn tree() -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "-p", CRATE, "-e", "normal,build", "--target", "all", "--prefix", "none"])
        .args(["--format", "{p}"])
        .current_dir(root())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn look(tree: &str, findings: &mut Findings) {
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    if !names.contains(CRATE) {
        findings.error(format!("{CRATE} is not in its own tree"));
    }
    for name in names {
        let is = |word: &str| {
            name == word || name.strip_prefix(word).is_some_and(|rest| rest.starts_with(['-', '_']))
        };
        if FORBIDDEN.iter().any(|word| is(word)) {
            findings.error(format!(
                "{name} is in the tree of {CRATE}: applications that embed it would carry it"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(tree: &str) -> Vec<String> {
        let mut findings = Findings::default();
        look(tree, &mut findings);
        findings.errors
    }

    #[test]
    fn databases_servers_and_frameworks_are_found() {
        assert!(errors("quorate-participant v0.1.0 (/x)\nquinn v0.11.0\ntowering v1.0.0 (*)\n").is_empty());
        for name in
            ["sqlx-core", "libsqlite3-sys", "axum", "hyper", "tower", "tower-http", "ureq", "candle-core"]
        {
            let found = errors(&format!("quorate-participant v0.1.0\n{name} v1.0.0\n"));
            assert_eq!(found.len(), 1, "{name}");
            assert!(found[0].starts_with(name));
        }
        assert_eq!(errors("").len(), 1);
    }
}
