//! The builds that can be told to die: those for tests, and no other.
//!
//! The feature `fault-points` may be asked for by dev-dependencies alone, and no feature of any crate may imply it:
//! then no `cargo build` has it, whatever else is built.

use serde_json::Value;

use crate::layering::metadata;
use crate::tree::{Findings, Tree};

const FEATURE: &str = "fault-points";

/// Looks at every manifest of the workspace.
pub fn check(_: &Tree) -> Findings {
    match metadata() {
        Ok(metadata) => judge(&metadata),
        Err(error) => Findings { errors: vec![format!("cargo metadata: {error}")], ..Findings::default() },
    }
}

fn judge(metadata: &Value) -> Findings {
    let mut findings = Findings::default();
    let (mut owners, mut askers) = (0, 0);
    for package in list(&metadata["packages"]) {
        let name = package["name"].as_str().unwrap_or_default();
        for (feature, implied) in package["features"].as_object().into_iter().flatten() {
            owners += usize::from(feature == FEATURE);
            if feature != FEATURE && list(implied).iter().any(names_it) {
                findings.error(format!("{name}: feature {feature} brings {FEATURE} into builds"));
            }
        }
        for dependency in list(&package["dependencies"]) {
            if !list(&dependency["features"]).iter().any(names_it) {
                continue;
            }
            askers += 1;
            if dependency["kind"].as_str() != Some("dev") {
                let to = dependency["name"].as_str().unwrap_or_default();
                findings.error(format!("{name}: its builds have {to} with {FEATURE}; only tests may"));
            }
        }
    }
    if owners == 0 || askers == 0 {
        findings
            .error(format!("nobody has, or nobody tests with, {FEATURE}: is it called something else now?"));
    }
    findings.note = format!("{owners} crates have it, {askers} dev-dependencies ask for it");
    findings
}

fn names_it(feature: &Value) -> bool {
    feature.as_str().is_some_and(|feature| feature == FEATURE || feature.ends_with(&format!("/{FEATURE}")))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(kind: Option<&str>, default: &[&str]) -> usize {
        let library =
            json!({ "name": "a", "features": { FEATURE: [], "default": default }, "dependencies": [] });
        let asked = json!({ "name": "a", "kind": kind, "features": [FEATURE] });
        let program = json!({ "name": "b", "features": {}, "dependencies": [asked] });
        judge(&json!({ "packages": [library, program] })).errors.len()
    }

    #[test]
    fn a_build_with_fault_points_is_found() {
        assert_eq!(errors(Some("dev"), &[]), 0);
        assert_eq!(errors(None, &[]), 1);
        assert_eq!(errors(Some("build"), &[]), 1);
        assert_eq!(errors(Some("dev"), &[FEATURE]), 1);
        assert_eq!(errors(Some("dev"), &["x/fault-points"]), 1);
        assert_eq!(judge(&json!({ "packages": [] })).errors.len(), 1);
    }
}
