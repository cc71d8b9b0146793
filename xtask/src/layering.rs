//! The directions between crates, as drawn in `docs/ARCHITECTURE.md`:
//!
//! ```text
//! crypto ← keys ← protocol ← transport ← participant, coordinator, conformance ← cli
//!                          ← sim                                  ←
//! ```
//!
//! An arrow may be skipped downwards, never turned up or sideways. `tests`, `benches` and `xtask`
//! may use everything and nobody may use them. Dev-dependencies are free apart from cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::embedded;
use crate::lockfile;
use crate::tree::{Findings, Tree, root};

/// Every crate of the picture and the crates it may use.
const PICTURE: &[(&str, &[&str])] = &[
    ("quorate-crypto", &[]),
    ("quorate-keys", &["quorate-crypto"]),
    ("quorate-protocol", &["quorate-keys", "quorate-crypto"]),
    ("quorate-transport", &["quorate-protocol", "quorate-keys", "quorate-crypto"]),
    ("quorate-sim", &["quorate-protocol", "quorate-keys", "quorate-crypto"]),
    ("quorate-participant", &["quorate-transport", "quorate-protocol", "quorate-keys", "quorate-crypto"]),
    ("quorate-coordinator", &["quorate-transport", "quorate-protocol", "quorate-keys", "quorate-crypto"]),
    ("quorate-conformance", &["quorate-transport", "quorate-protocol", "quorate-keys", "quorate-crypto"]),
    (
        "quorate-cli",
        &[
            "quorate-conformance",
            "quorate-participant",
            "quorate-coordinator",
            "quorate-sim",
            "quorate-transport",
            "quorate-protocol",
            "quorate-keys",
            "quorate-crypto",
        ],
    ),
];

/// Crates that may use everything and that nobody may use.
const FREE: &[&str] = &["quorate-tests", "quorate-benches", "xtask"];

/// Libraries with one home: only that crate names them.
const HOMES: &[(&str, &[&str])] = &[
    (
        "quorate-crypto",
        &[
            "aes",
            "aes-gcm",
            "argon2",
            "blake3",
            "chacha20",
            "chacha20poly1305",
            "ctr",
            "curve25519-dalek",
            "ed25519-dalek",
            "hkdf",
            "hmac",
            "hpke",
            "ml-kem",
            "p256",
            "pulp",
            "sha2",
            "tfhe-ntt",
            "x-wing",
            "x25519-dalek",
        ],
    ),
    (
        "quorate-transport",
        &[
            "quinn",
            "quinn-proto",
            "quinn-udp",
            "rcgen",
            "rustls",
            "rustls-webpki",
            "tokio-rustls",
            "x509-parser",
        ],
    ),
];

/// Crates without I/O, clock, threads of a runtime or randomness of the operating system.
const PURE: &[&str] = &["quorate-crypto", "quorate-keys", "quorate-protocol", "quorate-sim"];

/// What a pure crate does not name.
const IMPURE: &[&str] = &["async-std", "futures", "getrandom", "mio", "rand", "smol", "tokio"];

/// A dependency as a manifest declares it.
#[derive(Clone, Debug)]
struct Edge {
    from: String,
    to: String,
    dev: bool,
}

/// Compares the workspace with the picture, and the lock file with its rules.
pub fn check(tree: &Tree) -> Findings {
    let mut findings = match metadata() {
        Ok(metadata) => check_metadata(&metadata),
        Err(error) => {
            let mut findings = Findings::default();
            findings.error(format!("cargo metadata: {error}"));
            findings
        }
    };
    findings.merge(embedded::check());
    findings.merge(lockfile::check(tree));
    findings
}

/// What cargo says of the workspace.
pub fn metadata() -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn check_metadata(metadata: &Value) -> Findings {
    let mut findings = Findings::default();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let edges: Vec<Edge> = packages.iter().flat_map(edges_of).collect();
    for name in &names {
        if !FREE.contains(name) && !PICTURE.iter().any(|(known, _)| known == name) {
            findings.error(format!("{name} is not in the picture of xtask/src/layering.rs"));
        }
    }
    for edge in edges.iter().filter(|edge| !edge.dev && !FREE.contains(&edge.from.as_str())) {
        if let Some(text) = fault(edge, names.contains(edge.to.as_str())) {
            findings.error(text);
        }
    }
    if let Some(cycle) = cycle(&names, &edges) {
        findings.error(format!("a cycle, dev-dependencies counted: {}", cycle.join(" → ")));
    }
    if names.is_empty() {
        findings.error("no package in the workspace");
    }
    findings.note = format!("{} crates, {} dependencies", names.len(), edges.len());
    findings
}

fn edges_of(package: &Value) -> Vec<Edge> {
    let from = package["name"].as_str().unwrap_or_default();
    let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
    let edge = |dependency: &Value| Edge {
        from: from.to_owned(),
        to: dependency["name"].as_str().unwrap_or_default().to_owned(),
        dev: dependency["kind"].as_str() == Some("dev"),
    };
    dependencies.iter().map(edge).collect()
}

/// What is wrong with one normal or build dependency.
fn fault(edge: &Edge, inside: bool) -> Option<String> {
    let (from, to) = (edge.from.as_str(), edge.to.as_str());
    if inside {
        let allowed = PICTURE.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, uses)| uses);
        return (!allowed.contains(&to)).then(|| format!("{from} may not use {to}: up or sideways"));
    }
    if let Some((home, _)) = HOMES.iter().find(|(home, libraries)| *home != from && libraries.contains(&to)) {
        return Some(format!("{from} names {to}, which only {home} may"));
    }
    (PURE.contains(&from) && IMPURE.contains(&to)).then(|| format!("{from} is pure and may not use {to}"))
}

/// A cycle among the workspace's crates, as a path that ends where it begins.
fn cycle(names: &BTreeSet<&str>, edges: &[Edge]) -> Option<Vec<String>> {
    let mut uses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| names.contains(edge.to.as_str())) {
        uses.entry(&edge.from).or_default().push(&edge.to);
    }
    let mut done = BTreeSet::new();
    names.iter().find_map(|name| walk(name, &uses, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    name: &'a str,
    uses: &BTreeMap<&'a str, Vec<&'a str>>,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|step| *step == name) {
        return Some(path[start..].iter().chain([&name]).map(|step| (*step).to_owned()).collect());
    }
    if done.contains(name) {
        return None;
    }
    path.push(name);
    let found = uses.get(name).and_then(|next| next.iter().find_map(|to| walk(to, uses, path, done)));
    path.pop();
    done.insert(name);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Findings for a workspace given as (crate, normal dependencies, dev-dependencies).
    fn errors(crates: &[(&str, &[&str], &[&str])]) -> Vec<String> {
        let packages: Vec<Value> = crates
            .iter()
            .map(|(name, normal, dev)| {
                let normal = normal.iter().map(|to| json!({"name": to, "kind": null}));
                let dev = dev.iter().map(|to| json!({"name": to, "kind": "dev"}));
                json!({"name": name, "dependencies": normal.chain(dev).collect::<Vec<_>>()})
            })
            .collect();
        check_metadata(&json!({ "packages": packages })).errors
    }

    #[test]
    fn the_picture_itself_passes_and_has_no_cycle() {
        let crates: Vec<_> = PICTURE.iter().map(|(name, uses)| (*name, *uses, &[][..])).collect();
        assert!(errors(&crates).is_empty());
    }

    #[test]
    fn upwards_and_sideways_are_found() {
        let both: [(&str, &[&str], &[&str]); 2] =
            [("quorate-crypto", &["quorate-keys"], &[]), ("quorate-keys", &[], &[])];
        assert!(errors(&both)[0].contains("quorate-crypto may not use quorate-keys"));
        let both: [(&str, &[&str], &[&str]); 2] =
            [("quorate-participant", &["quorate-sim"], &[]), ("quorate-sim", &[], &[])];
        assert_eq!(errors(&both).len(), 1);
        let both: [(&str, &[&str], &[&str]); 2] =
            [("quorate-cli", &["quorate-tests"], &[]), ("quorate-tests", &["quorate-cli"], &[])];
        assert!(errors(&both).iter().any(|error| error.contains("may not use quorate-tests")));
    }

    #[test]
    fn libraries_stay_in_their_homes() {
        assert_eq!(errors(&[("quorate-sim", &["ed25519-dalek"], &[])]).len(), 1);
        assert_eq!(errors(&[("quorate-participant", &["quinn"], &[])]).len(), 1);
        assert_eq!(errors(&[("quorate-protocol", &["tokio"], &[])]).len(), 1);
        assert_eq!(errors(&[("quorate-keys", &["getrandom"], &[])]).len(), 1);
        assert!(errors(&[("quorate-crypto", &["sha2"], &[]), ("quorate-tests", &["quinn"], &[])]).is_empty());
        assert!(errors(&[("quorate-participant", &["tokio", "getrandom"], &["sha2"])]).is_empty());
    }

    #[test]
    fn a_cycle_through_a_dev_dependency_and_an_unknown_crate_are_found() {
        let both: [(&str, &[&str], &[&str]); 2] =
            [("quorate-crypto", &[], &["quorate-keys"]), ("quorate-keys", &["quorate-crypto"], &[])];
        assert!(errors(&both)[0].contains("cycle"));
        assert!(errors(&[("quorate-utils", &[], &[])])[0].contains("not in the picture"));
        assert_eq!(errors(&[]), ["no package in the workspace"]);
    }
}
